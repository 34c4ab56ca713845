//! Which process holds a socket, by the links in `/proc/PID/fd`. Reads, and decides nothing.
//!
//! A look at all processes takes milliseconds, so it keeps every socket that it comes by, and whoever asks must not ask
//! for one packet at a time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

/// Most sockets remembered (1 MB); beyond it all are looked for again.
const MAX_KNOWN: usize = 32_768;
/// Processes that are looked at first: one that opened a connection soon opens another.
const MAX_RECENT: usize = 16;

/// The sockets of processes, as far as they were looked at.
#[derive(Debug)]
pub struct Holders {
    root: PathBuf,
    /// Processes by the inodes of their sockets.
    known: HashMap<u32, u32>,
    /// Processes of which a socket was asked for, the last one first.
    recent: VecDeque<u32>,
}

impl Holders {
    /// Reads below `root`, which is `/proc` but in tests.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), known: HashMap::new(), recent: VecDeque::new() }
    }

    /// The processes that hold these sockets. Looks at no more processes than it takes, the likely ones first: those that
    /// hold others, then the youngest.
    pub fn find(&mut self, inodes: &[u32]) -> Vec<Option<u32>> {
        let mut wanted: HashSet<u32> = inodes.iter().copied().filter(|&inode| self.holder(inode).is_none()).collect();
        for pid in self.recent.clone() {
            self.look_at(pid, &mut wanted);
        }
        if !wanted.is_empty() {
            for pid in self.youngest_first() {
                self.look_at(pid, &mut wanted);
            }
        }
        inodes.iter().map(|&inode| self.holder(inode).inspect(|&pid| self.remember(pid))).collect()
    }

    fn remember(&mut self, pid: u32) {
        self.recent.retain(|&other| other != pid);
        self.recent.push_front(pid);
        self.recent.truncate(MAX_RECENT);
    }

    /// All processes. The last numbers given out are the highest, most of the time.
    fn youngest_first(&self) -> Vec<u32> {
        let names = fs::read_dir(&self.root).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut pids: Vec<u32> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
        pids.sort_unstable_by(|a, b| b.cmp(a));
        pids
    }

    /// Who is remembered, if it still has the socket; a process that ended or gave it away is nobody.
    fn holder(&mut self, inode: u32) -> Option<u32> {
        let pid = *self.known.get(&inode)?;
        let has_it = self.root.join(pid.to_string()).is_dir();
        if !has_it {
            self.known.remove(&inode);
        }
        has_it.then_some(pid)
    }

    /// Remembers all sockets of a process, and takes them from `wanted`; does nothing when nothing is wanted.
    fn look_at(&mut self, pid: u32, wanted: &mut HashSet<u32>) {
        if wanted.is_empty() {
            return;
        }
        for inode in sockets(&self.root.join(pid.to_string()).join("fd")) {
            if self.known.len() >= MAX_KNOWN {
                self.known.clear();
            }
            // Of several that hold it, the first that was looked at.
            if wanted.remove(&inode) || !self.known.contains_key(&inode) {
                self.known.insert(inode, pid);
            }
        }
    }
}

/// The sockets among a process' descriptors. One that must not be looked into has none.
fn sockets(descriptors: &Path) -> impl Iterator<Item = u32> {
    let links = fs::read_dir(descriptors).into_iter().flatten().flatten();
    let targets = links.filter_map(|link| fs::read_link(link.path()).ok());
    targets.filter_map(|target| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// A `/proc` of processes and the targets of their descriptors.
    fn proc(processes: &[(u32, &[&str])]) -> TempDir {
        let root = TempDir::new().unwrap();
        for (pid, targets) in processes {
            let descriptors = root.path().join(pid.to_string()).join("fd");
            fs::create_dir_all(&descriptors).unwrap();
            for (number, target) in targets.iter().enumerate() {
                symlink(target, descriptors.join(number.to_string())).unwrap();
            }
        }
        fs::create_dir(root.path().join("sys")).unwrap();
        root
    }

    #[test]
    fn sockets_are_found_and_nothing_else() {
        let root = proc(&[(7, &["socket:[70]", "/dev/null", "pipe:[71]"]), (12, &["socket:[120]", "socket:[x]"])]);
        assert_eq!(Holders::new(root.path()).find(&[70, 71, 120]), [Some(7), None, Some(12)]);
    }

    #[test]
    fn no_more_processes_are_looked_at_than_it_takes() {
        let root = proc(&[(7, &["socket:[70]"]), (12, &["socket:[120]"])]);
        let mut holders = Holders::new(root.path());
        assert_eq!(holders.find(&[120]), [Some(12)]);
        assert!(!holders.known.contains_key(&70));
        symlink("socket:[72]", root.path().join("7/fd/9")).unwrap();
        symlink("socket:[122]", root.path().join("12/fd/9")).unwrap();
        assert_eq!(holders.find(&[122]), [Some(12)]);
        assert!(!holders.known.contains_key(&72));
    }

    #[test]
    fn a_socket_that_several_hold_is_the_youngest_ones_and_that_of_the_dead_the_next_ones() {
        let root = proc(&[(7, &["socket:[70]"]), (100, &["socket:[70]"]), (12, &["socket:[70]"])]);
        let mut holders = Holders::new(root.path());
        assert_eq!(holders.find(&[70]), [Some(100)]);
        fs::remove_dir_all(root.path().join("100")).unwrap();
        assert_eq!(holders.find(&[70]), [Some(12)]);
    }
}
