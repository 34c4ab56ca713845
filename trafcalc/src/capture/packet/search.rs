//! The thread that finds out more of a connection's owner than the user: it searches `/proc` for the process that holds
//! the socket. That is slow, so it holds up nobody, does many searches in one, and has a budget of time.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use super::finding::{Found, Wanted};
use super::holders::Holders;
use crate::capture::alive::started_ns;
use crate::capture::{By, Hierarchy, Owner, Process};

/// Most searches done in one look at the processes.
const MAX_AT_ONCE: usize = 1024;
/// Time that may be spent at once, after a while without a search.
const BURST: Duration = Duration::from_millis(200);
/// In the long run, one part in so many of one processor.
const SHARE: u32 = 10;

/// What the thread works with.
pub struct Search {
    root: PathBuf,
    by: By,
    hierarchy: Hierarchy,
    holders: Holders,
    wanted: Receiver<Wanted>,
    found: SyncSender<Found>,
}

impl Search {
    /// Searches below `root`, which is where `/proc` is, for what accounts are told apart `by`.
    pub fn new(root: impl Into<PathBuf>, by: By, wanted: Receiver<Wanted>, found: SyncSender<Found>) -> Self {
        let root = root.into();
        let hierarchy = Hierarchy::mounted(&root.join("mounts"));
        Self { holders: Holders::new(&root), root, by, hierarchy, wanted, found }
    }

    /// Works until nobody is left to ask.
    pub fn run(mut self) {
        let mut allowance = Allowance::new(Instant::now());
        while let Ok(first) = self.wanted.recv() {
            thread::sleep(allowance.rest(Instant::now()));
            let wanted: Vec<Wanted> = [first].into_iter().chain(self.wanted.try_iter().take(MAX_AT_ONCE)).collect();
            let start = Instant::now();
            for found in self.find(&wanted) {
                // When the reader is gone, `recv` says so, too.
                let _ = self.found.send(found);
            }
            allowance.spend(start.elapsed());
        }
    }

    /// Answers all at once.
    pub fn find(&mut self, wanted: &[Wanted]) -> Vec<Found> {
        let inodes: Vec<u32> = wanted.iter().map(|wanted| wanted.inode).collect();
        let pids = self.holders.find(&inodes);
        let owner = |uid, pid: Option<u32>| pid.and_then(|pid| self.owner(uid, pid)).unwrap_or(Owner::User(uid));
        let answers = wanted.iter().zip(pids);
        answers.map(|(wanted, pid)| Found { question: wanted.question, owner: owner(wanted.uid, pid) }).collect()
    }

    fn owner(&self, uid: u32, pid: u32) -> Option<Owner> {
        let dir = self.root.join(pid.to_string());
        Some(match self.by {
            By::User => Owner::User(uid),
            By::Process => {
                let started_ns = started_ns(&self.root, pid)?;
                Owner::Process(uid, Process { pid, started_ns, program: program(&dir)? })
            }
            By::Program => Owner::Program(uid, program(&dir)?),
            By::Unit => Owner::Cgroup(uid, self.hierarchy.id(&cgroup(&dir)?)?),
        })
    }
}

/// The last part of the path of a process's program.
fn program(process: &Path) -> Option<Arc<str>> {
    match fs::read_link(process.join("exe")) {
        Ok(path) => Some(path.file_name()?.to_string_lossy().trim_end_matches(" (deleted)").into()),
        // Another user's (`CAP_SYS_PTRACE`); one that is about to end has no name any more.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Some(fs::read_to_string(process.join("comm")).ok()?.trim_end().into())
        }
        Err(_) => None,
    }
}

/// The path of a process's cgroup in the hierarchy of version 2, whose number is 0 (`cgroups(7)`).
fn cgroup(process: &Path) -> Option<String> {
    let cgroups = fs::read_to_string(process.join("cgroup")).ok()?;
    cgroups.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// A share of one processor's time, saved up to a limit.
struct Allowance {
    saved: Duration,
    overdrawn: Duration,
    since: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { saved: BURST, overdrawn: Duration::ZERO, since: now }
    }

    fn spend(&mut self, spent: Duration) {
        self.overdrawn += spent.saturating_sub(self.saved);
        self.saved = self.saved.saturating_sub(spent);
    }

    /// How long to rest before more may be spent.
    fn rest(&mut self, now: Instant) -> Duration {
        let earned = (now - self.since) / SHARE;
        self.since = now;
        self.saved = (self.saved + earned.saturating_sub(self.overdrawn)).min(BURST);
        self.overdrawn = self.overdrawn.saturating_sub(earned);
        self.overdrawn * SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_time_may_be_spent_and_a_burst_now_and_then() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        allowance.spend(BURST);
        assert_eq!(allowance.rest(start), Duration::ZERO);
        allowance.spend(Duration::from_millis(30));
        assert_eq!(allowance.rest(start), Duration::from_millis(300));
        assert_eq!(allowance.rest(start + Duration::from_millis(300)), Duration::ZERO);
        allowance.spend(Duration::from_millis(5));
        assert_eq!(allowance.rest(start + Duration::from_millis(400)), Duration::ZERO, "10 ms were earned meanwhile");
        allowance.rest(start + Duration::from_hours(1));
        allowance.spend(BURST + Duration::from_millis(1));
        assert_eq!(allowance.rest(start + Duration::from_hours(1)), Duration::from_millis(10));
    }
}
