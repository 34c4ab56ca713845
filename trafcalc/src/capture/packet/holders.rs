//! Which process holds a socket, by the links in `/proc/PID/fd`. Reads, and decides nothing.
//!
//! A look at all processes takes milliseconds, so callers must not search for each packet.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

/// Processes that are looked at first: one that opened a connection soon opens another.
const MAX_RECENT: usize = 16;

/// Looks for the holders of sockets.
#[derive(Debug)]
pub struct Holders {
    root: PathBuf,
    /// Processes that held a socket that was searched for, the latest first.
    recent: VecDeque<u32>,
}

/// Inodes of sockets, and the processes that hold them, if found.
type Sockets = HashMap<u32, Option<u32>>;

impl Holders {
    /// Reads below `root`: `/proc`, except in tests.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), recent: VecDeque::new() }
    }

    /// The processes that hold these sockets now. Looks at no more processes than necessary, the likely ones first: those that were found
    /// before, then the youngest.
    pub fn find(&mut self, inodes: &[u32]) -> Vec<Option<u32>> {
        let mut sockets: Sockets = inodes.iter().map(|&inode| (inode, None)).collect();
        let recent: Vec<u32> = self.recent.iter().copied().collect();
        if !self.look_at(&recent, &mut sockets) {
            self.look_at(&self.youngest_first(), &mut sockets);
        }
        sockets.values().flatten().for_each(|&pid| self.remember(pid));
        inodes.iter().map(|inode| sockets[inode]).collect()
    }

    /// Looks at these processes until all sockets have a holder; returns whether they do.
    fn look_at(&self, pids: &[u32], sockets: &mut Sockets) -> bool {
        let mut missing = sockets.values().filter(|holder| holder.is_none()).count();
        for &pid in pids {
            if missing == 0 {
                break;
            }
            for inode in inodes(&self.root.join(pid.to_string()).join("fd")) {
                if let Some(holder @ None) = sockets.get_mut(&inode) {
                    *holder = Some(pid);
                    missing -= 1;
                }
            }
        }
        missing == 0
    }

    fn remember(&mut self, pid: u32) {
        self.recent.retain(|&other| other != pid);
        self.recent.push_front(pid);
        self.recent.truncate(MAX_RECENT);
    }

    /// All processes. The latest ids are usually the highest.
    fn youngest_first(&self) -> Vec<u32> {
        let names = fs::read_dir(&self.root).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut pids: Vec<u32> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
        pids.sort_unstable_by(|a, b| b.cmp(a));
        pids
    }
}

/// Inodes of the sockets among a process's descriptors; none if they may not be read.
fn inodes(descriptors: &Path) -> impl Iterator<Item = u32> {
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
        let root = proc(&[(7, &["socket:[70]"]), (12, &["socket:[120]", "socket:[70]"])]);
        let mut holders = Holders::new(root.path());
        assert_eq!(holders.find(&[120]), [Some(12)]);
        assert_eq!(holders.recent, [12]);
        let younger = root.path().join("100/fd");
        fs::create_dir_all(&younger).unwrap();
        symlink("socket:[70]", younger.join("3")).unwrap();
        assert_eq!(holders.find(&[70]), [Some(12)], "one that was found before comes first");
    }

    #[test]
    fn a_socket_that_several_hold_is_the_youngest_ones_until_that_gave_it_away() {
        let root = proc(&[(7, &["socket:[70]"]), (100, &["socket:[70]"]), (12, &["socket:[70]"])]);
        let mut holders = Holders::new(root.path());
        assert_eq!(holders.find(&[70, 71]), [Some(100), None]);
        fs::remove_file(root.path().join("100/fd/0")).unwrap();
        assert_eq!(holders.find(&[70]), [Some(12)]);
    }
}
