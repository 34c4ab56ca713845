//! Finds uids that nothing on this host uses, so that no other bytes get into the accounts of the test.

use std::collections::HashSet;
use std::path::Path;

use nix::unistd::{Uid, User};

use super::SelftestError;

/// Where the search begins, downwards: above what systems and directories assign, below the uids with a special meaning (-1 and -2 as
/// 32 bits).
const HIGHEST: u32 = 4_294_900_000;
/// The limit of uids that are tried: more than a host has processes of different users.
const MOST_TRIED: u32 = 65_536;
/// The distance between the starting points of processes with consecutive ids, so that two runs at once do not share users.
const PER_PROCESS: u32 = 64;

/// A sender and a receiver for each scenario.
pub(super) struct Users(Vec<(u32, u32)>);

impl Users {
    /// Finds a pair of uids for each scenario.
    pub(super) fn find(scenarios: usize) -> Result<Self, SelftestError> {
        let used = used(Path::new("/proc")).map_err(SelftestError::step("reading /proc"))?;
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let first = highest(&map).saturating_sub(std::process::id() % 1024 * PER_PROCESS);
        let free: Vec<_> = candidates(first, &used).filter(|&uid| is_nameless(uid)).take(scenarios * 2).collect();
        if free.len() < scenarios * 2 {
            return Err(SelftestError::NoFreeUser);
        }
        Ok(Self(free.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()))
    }

    pub(super) fn pairs(&self) -> &[(u32, u32)] {
        &self.0
    }
}

/// The highest uid that exists in a user namespace with this `/proc/self/uid_map`, up to [`HIGHEST`].
fn highest(uid_map: &str) -> u32 {
    let end = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (first, _, length) = (numbers.next()?.ok()?, numbers.next(), numbers.next()?.ok()?);
        (first + length).checked_sub(1)
    };
    let last = uid_map.lines().filter_map(end).max().unwrap_or(HIGHEST.into());
    u32::try_from(last).unwrap_or(HIGHEST).min(HIGHEST)
}

/// Uids from `first` downwards that no process has.
fn candidates(first: u32, used: &HashSet<u32>) -> impl Iterator<Item = u32> {
    let last = first.saturating_sub(MOST_TRIED).max(1);
    (last..=first).rev().filter(|uid| !used.contains(uid))
}

fn is_nameless(uid: u32) -> bool {
    matches!(User::from_uid(Uid::from_raw(uid)), Ok(None))
}

/// The uids of all processes: real, effective, saved and file system uid of each.
fn used(proc: &Path) -> std::io::Result<HashSet<u32>> {
    let mut used = HashSet::new();
    for entry in std::fs::read_dir(proc)? {
        // Entries that are not processes have no status, and a process may end during the search.
        let Ok(status) = std::fs::read_to_string(entry?.path().join("status")) else { continue };
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
        used.extend(uids.split_whitespace().filter_map(|uid| uid.parse::<u32>().ok()));
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_processes_are_not_taken() {
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir(proc.path().join("1")).unwrap();
        std::fs::write(proc.path().join("1/status"), "Name:\tx\nUid:\t7\t8\t9\t10\n").unwrap();
        std::fs::write(proc.path().join("version"), "").unwrap();
        let used = used(proc.path()).unwrap();
        assert_eq!(used, HashSet::from([7, 8, 9, 10]));
        assert_eq!(candidates(11, &used).take(3).collect::<Vec<_>>(), [11, 6, 5]);
    }

    #[test]
    fn root_is_never_taken() {
        assert_eq!(candidates(2, &HashSet::new()).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn the_search_begins_where_the_user_namespace_ends() {
        assert_eq!(highest("         0          0 4294967295\n"), HIGHEST);
        assert_eq!(highest("0 1000 1\n1 100000 65536\n"), 65_536);
        assert_eq!(highest(""), HIGHEST);
    }
}
