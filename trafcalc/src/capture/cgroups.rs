//! The hierarchy of cgroups (version 2), as folders.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The limit of nested folders that are read; systemd and containers make some ten.
const MAX_DEPTH: usize = 32;

/// The mount point of the hierarchy, if it is mounted.
pub struct Hierarchy(Option<PathBuf>);

impl Hierarchy {
    /// Finds the hierarchy in `mounts`, a file in the format of `/proc/mounts`.
    #[must_use]
    pub fn mounted(mounts: &Path) -> Self {
        let mounts = std::fs::read_to_string(mounts).unwrap_or_default();
        let mounted = |line: &str| {
            let mut words = line.split(' ').skip(1);
            let (path, kind) = (words.next()?, words.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(path))
        };
        Self(mounts.lines().find_map(mounted))
    }

    /// The folder of the cgroup with this path from the root.
    #[must_use]
    pub fn folder(&self, path: &str) -> Option<PathBuf> {
        Some(self.0.as_ref()?.join(path.trim_start_matches('/')))
    }

    /// The id of the cgroup with this path from the root.
    #[must_use]
    pub fn id(&self, path: &str) -> Option<u64> {
        std::fs::metadata(self.folder(path)?).ok().map(|metadata| metadata.ino())
    }

    /// For each of `names`, whether any cgroup in the hierarchy has a folder of this name in its path now.
    #[must_use]
    pub fn has_parts(&self, names: &[String]) -> Vec<bool> {
        let cgroups = self.cgroups();
        let has = |name: &String| cgroups.values().any(|path| path.split('/').any(|part| part == name));
        names.iter().map(has).collect()
    }

    /// All existing cgroups: their paths from the root, which is `/`, by id. The id of a cgroup is the inode number of its folder.
    #[must_use]
    pub fn cgroups(&self) -> HashMap<u64, String> {
        let mut found = HashMap::new();
        if let Some(root) = &self.0 {
            if let Ok(metadata) = std::fs::metadata(root) {
                found.insert(metadata.ino(), "/".to_owned());
            }
            look_into(root, "", MAX_DEPTH, &mut found);
        }
        found
    }
}

fn look_into(folder: &Path, path: &str, depth: usize, found: &mut HashMap<u64, String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    for entry in folders {
        let path = format!("{path}/{}", entry.file_name().to_string_lossy());
        if depth > 0 {
            look_into(&entry.path(), &path, depth - 1, found);
        }
        if let Ok(metadata) = entry.metadata() {
            found.insert(metadata.ino(), path);
        }
    }
}
