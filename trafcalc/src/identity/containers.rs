//! Names of containers, by the files of their runtimes. What an ordinary user can write is not believed: his container must not be
//! called as somebody else's. A thread of its own reads the files, as they may be on a disk that is slow.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};

use nix::fcntl::OFlag;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::container::{Container, is_id};

/// Where docker keeps what it knows of each container (`moby/daemon/container`, `config.v2.json`).
const DOCKER: &str = "var/lib/docker/containers";
/// Where podman keeps the names of all (`containers/storage`, `containers.json`).
const PODMAN: &str = "var/lib/containers/storage/overlay-containers/containers.json";
/// Longest file that is read, in bytes. Docker's takes some kilobytes, podman's half a kilobyte a container.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Longest name that is believed, in bytes. Docker and podman have no limit of their own.
const MAX_NAME_BYTES: usize = 128;
/// Most containers of users that are remembered; beyond it all are looked up again.
const MAX_NAMES: usize = 16_384;
/// Most questions that wait for the thread. What finds no room is asked with a later report.
const MAX_QUESTIONS: usize = 64;

/// The files of runtimes on a host.
#[derive(Clone, Debug)]
pub struct Runtimes {
    root: PathBuf,
    /// Who alone may have written them.
    owner: u32,
}

#[derive(Deserialize)]
struct Docker {
    #[serde(rename = "Name")]
    name: String,
}

#[derive(Deserialize)]
struct Podman {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
}

impl Runtimes {
    /// Those of this host.
    #[must_use]
    pub fn of_host() -> Self {
        Self::at("/".into(), 0)
    }

    /// Those below `root`; only what `owner` alone can write is believed.
    #[must_use]
    pub const fn at(root: PathBuf, owner: u32) -> Self {
        Self { root, owner }
    }

    /// The name of the container whose cgroup has this name, if its runtime tells.
    #[must_use]
    pub fn name(&self, unit: &str) -> Option<String> {
        let Container { runtime, id } = Container::of(unit)?;
        let name = match runtime {
            // The id is a part of a path.
            "docker" if is_id(id) => {
                let path = format!("{DOCKER}/{id}/config.v2.json");
                self.read::<Docker>(&path)?.name.trim_start_matches('/').to_owned()
            }
            "podman" => {
                let all: Vec<Podman> = self.read(PODMAN)?;
                all.into_iter().find(|container| container.id == id)?.names?.into_iter().next()?
            }
            _ => return None,
        };
        (1..=MAX_NAME_BYTES).contains(&name.len()).then_some(name)
    }

    fn read<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let path = self.root.join(path);
        let folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.root));
        let is_safe = folders.map(std::fs::metadata).all(|folder| folder.is_ok_and(|folder| self.is_trusted(&folder)));
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = is_safe.then(|| OpenOptions::new().read(true).custom_flags(flags.bits()).open(path))?.ok()?;
        let metadata = file.metadata().ok()?;
        (metadata.is_file() && self.is_trusted(&metadata)).then(|| parse(file))?
    }

    /// Whether nobody but the owner may write it.
    fn is_trusted(&self, metadata: &Metadata) -> bool {
        metadata.uid() == self.owner && metadata.mode() & 0o022 == 0
    }
}

fn parse<T: DeserializeOwned>(file: File) -> Option<T> {
    let mut text = Vec::new();
    // One byte more tells that it is longer.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).ok()?;
    if text.len() as u64 > MAX_FILE_BYTES { None } else { serde_json::from_slice(&text).ok() }
}

/// A user's accounts in cgroups of a container.
type Key = (Option<u32>, Arc<str>);
/// Where questions go, each with the folder of the cgroup, and where answers come from.
type Thread = (SyncSender<(Key, PathBuf)>, Receiver<(Key, Option<String>)>);

enum Told {
    /// The folder in which the cgroup is; it is to be asked.
    Unasked(PathBuf),
    Asked,
    /// What is known, if anything is.
    Answered(Option<Arc<str>>),
}

/// Names of containers in which users were seen.
pub struct Containers {
    runtimes: Runtimes,
    told: HashMap<Key, Told>,
    thread: Option<Thread>,
}

impl Containers {
    /// By these files.
    #[must_use]
    pub fn of(runtimes: Runtimes) -> Self {
        Self { runtimes, told: HashMap::new(), thread: None }
    }

    /// A user was seen in a container, whose cgroup `unit` is in `folder`. Of two of that name the one that was seen
    /// last counts.
    pub fn expect(&mut self, uid: Option<u32>, unit: &Arc<str>, folder: &Path) {
        if Container::of(unit).is_none() {
            return;
        }
        if self.told.len() >= MAX_NAMES {
            self.told.clear();
        }
        self.told.insert((uid, Arc::clone(unit)), Told::Unasked(folder.to_owned()));
    }

    /// What is known now. It waits for nothing.
    pub fn name(&mut self, uid: Option<u32>, unit: &Arc<str>) -> Option<Arc<str>> {
        if self.told.is_empty() {
            return None;
        }
        self.hear();
        let key = (uid, Arc::clone(unit));
        match self.told.get(&key)? {
            Told::Answered(name) => return name.clone(),
            Told::Asked => {}
            Told::Unasked(folder) => {
                let folder = folder.clone();
                if self.ask((key.clone(), folder)) {
                    self.told.insert(key, Told::Asked);
                }
            }
        }
        None
    }

    fn hear(&mut self) {
        let Some((_, answers)) = &self.thread else { return };
        for (key, name) in answers.try_iter() {
            if let Some(told @ Told::Asked) = self.told.get_mut(&key) {
                *told = Told::Answered(name.map(Into::into));
            }
        }
    }

    fn ask(&mut self, question: (Key, PathBuf)) -> bool {
        if self.thread.is_none() {
            self.thread = start(self.runtimes.clone());
        }
        self.thread.as_ref().is_some_and(|(questions, _)| questions.try_send(question).is_ok())
    }
}

fn start(runtimes: Runtimes) -> Option<Thread> {
    let (ask, questions) = mpsc::sync_channel::<(Key, PathBuf)>(MAX_QUESTIONS);
    let (tell, answers) = mpsc::channel();
    let work = move || {
        for ((uid, unit), folder) in questions {
            // Who may make cgroups in a folder may give them any name.
            let is_safe = std::fs::metadata(folder).is_ok_and(|folder| runtimes.is_trusted(&folder));
            let name = is_safe.then(|| runtimes.name(&unit)).flatten();
            if tell.send(((uid, unit), name)).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("containers".to_owned()).spawn(work).ok()?;
    Some((ask, answers))
}

#[cfg(test)]
mod tests;
