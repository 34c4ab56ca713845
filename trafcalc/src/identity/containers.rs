//! Names of containers, from the files of their runtimes. Files that ordinary users can write are ignored, so that no
//! user can name a container like another user's. A thread of its own reads the files, because the disk may be slow.

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

/// Docker's file on each container is in a folder here (`moby/daemon/container`, `config.v2.json`).
const DOCKER: &str = "var/lib/docker/containers";
/// Podman's file with the names of all containers (`containers/storage`, `containers.json`).
const PODMAN: &str = "var/lib/containers/storage/overlay-containers/containers.json";
/// Longest file that is read, in bytes. Docker's has some kilobytes, podman's half a kilobyte a container.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Longest name that is accepted, in bytes. Docker and podman have no limit of their own.
const MAX_NAME_BYTES: usize = 128;
/// Most users' containers that are cached; beyond it the cache is cleared.
const MAX_NAMES: usize = 16_384;
/// Most questions that wait for the thread. Others are asked with a later report.
const MAX_QUESTIONS: usize = 64;

/// The files of runtimes on a host.
#[derive(Clone, Debug)]
pub struct Runtimes {
    root: PathBuf,
    /// The only user who may have written them.
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

    /// The files below `root`; only those that nobody but `owner` can write are trusted.
    #[must_use]
    pub const fn at(root: PathBuf, owner: u32) -> Self {
        Self { root, owner }
    }

    /// The name of the container whose cgroup has this name, if its runtime provides one.
    #[must_use]
    pub fn name(&self, unit: &str) -> Option<String> {
        let Container { runtime, id } = Container::of(unit)?;
        let name = match runtime {
            // The id becomes part of a path, so it must be one.
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

    /// Whether nobody but the owner may write the file or folder.
    fn is_trusted(&self, metadata: &Metadata) -> bool {
        metadata.uid() == self.owner && metadata.mode() & 0o022 == 0
    }
}

fn parse<T: DeserializeOwned>(file: File) -> Option<T> {
    let mut text = Vec::new();
    // One byte more, to see that the file is too long.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).ok()?;
    if text.len() as u64 > MAX_FILE_BYTES { None } else { serde_json::from_slice(&text).ok() }
}

/// The accounts of a user in the cgroups of a container.
type Key = (Option<u32>, Arc<str>);
/// The channel of questions, each with the folder of the cgroup, and the channel of answers.
type Thread = (SyncSender<(Key, PathBuf)>, Receiver<(Key, Option<String>)>);

enum Told {
    /// Not asked yet; the folder that contains the cgroup.
    Unasked(PathBuf),
    Asked,
    /// The answer.
    Answered(Option<Arc<str>>),
}

/// Names of containers in which users were seen.
pub struct Containers {
    runtimes: Runtimes,
    told: HashMap<Key, Told>,
    thread: Option<Thread>,
}

impl Containers {
    /// Uses these files.
    #[must_use]
    pub fn of(runtimes: Runtimes) -> Self {
        Self { runtimes, told: HashMap::new(), thread: None }
    }

    /// Notes that a user was seen in a container whose cgroup `unit` is in `folder`. Of two cgroups with the same name,
    /// the one seen last counts.
    pub fn expect(&mut self, uid: Option<u32>, unit: &Arc<str>, folder: &Path) {
        if Container::of(unit).is_none() {
            return;
        }
        if self.told.len() >= MAX_NAMES {
            self.told.clear();
        }
        self.told.insert((uid, Arc::clone(unit)), Told::Unasked(folder.to_owned()));
    }

    /// The name, if it is known now. Never waits.
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
            // A user who may create cgroups in a folder may give them any name.
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
