//! The thread that finds more about a connection's owner than the user: it searches `/proc` for the process that holds the socket. That is
//! slow, so it holds up no other thread, combines many searches, and has a time budget.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::finding::{Found, Outcome, Sought};
use super::holders::Holders;
use crate::capture::alive::{has_ended, started_ns};
use crate::capture::{By, Dimension, Hierarchy, Owner, Process, Settings, Unit, Wanted, stat};

/// Most generations searched for a wanted ancestor.
const MAX_ANCESTORS: usize = 64;
/// Most waiting searches that share one look at the processes with the first, and most that are to be repeated.
const MAX_AT_ONCE: usize = 1024;
/// When to look again for a socket that no process holds: `accept(2)` tells the kernel before the process, and may be interrupted in
/// between.
const SECOND_LOOK: Duration = Duration::from_millis(100);
/// Time that may be spent at once, after a pause.
const BURST: Duration = Duration::from_millis(200);
/// The long-term share of a processor: one in this many.
const SHARE: u32 = 10;

/// The state of the thread.
pub struct Search {
    root: PathBuf,
    by: By,
    wanted: Wanted,
    hierarchy: Hierarchy,
    holders: Holders,
    sought: Receiver<Sought>,
    found: SyncSender<Found>,
}

/// Searches to be repeated, and when.
type Again = VecDeque<(Instant, Sought)>;

impl Search {
    /// Searches below `root`, the path of `/proc`, for what `settings` ask.
    pub fn new(
        root: impl Into<PathBuf>,
        settings: &Settings,
        sought: Receiver<Sought>,
        found: SyncSender<Found>,
    ) -> Self {
        let root = root.into();
        let (by, wanted) = (settings.by, settings.wanted.clone());
        let hierarchy = Hierarchy::mounted(&root.join("mounts"));
        Self { holders: Holders::new(&root), root, by, wanted, hierarchy, sought, found }
    }

    /// Works until no sender is left.
    pub fn run(mut self) {
        let mut allowance = Allowance::new(Instant::now());
        let mut again = Again::new();
        while let Ok(first) = self.next(&again) {
            thread::sleep(allowance.rest(Instant::now()));
            let start = processor_time();
            self.look(first, &mut again, Instant::now());
            allowance.spend(processor_time().saturating_sub(start));
        }
    }

    /// Does all waiting searches, and answers them, except those that are to be repeated.
    fn look(&mut self, first: Option<Sought>, again: &mut Again, now: Instant) {
        let due = again.partition_point(|&(due, _)| due <= now);
        let mut sought: Vec<Sought> = again.drain(..due).map(|(_, sought)| sought).collect();
        sought.extend(first.into_iter().chain(self.sought.try_iter().take(MAX_AT_ONCE)));
        for (index, found) in self.find(&sought).into_iter().enumerate() {
            if found.outcome == Outcome::Nothing && index >= due && again.len() < MAX_AT_ONCE {
                again.push_back((now + SECOND_LOOK, sought[index]));
            } else {
                // If the reader is gone, `next` fails, too.
                let _ = self.found.send(found);
            }
        }
    }

    /// Waits for something to search for, or until a second look is due.
    fn next(&self, again: &Again) -> Result<Option<Sought>, RecvTimeoutError> {
        let Some((due, _)) = again.front() else {
            return self.sought.recv().map(Some).map_err(RecvTimeoutError::from);
        };
        match self.sought.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Answers all at once.
    pub fn find(&mut self, sought: &[Sought]) -> Vec<Found> {
        let inodes: Vec<u32> = sought.iter().map(|sought| sought.inode).collect();
        let pids = self.holders.find(&inodes);
        let outcome = |uid, pid: Option<u32>| pid.map_or(Outcome::Nothing, |pid| self.outcome(uid, pid));
        let answers = sought.iter().zip(pids);
        answers.map(|(sought, pid)| Found { question: sought.question, outcome: outcome(sought.uid, pid) }).collect()
    }

    fn outcome(&self, uid: u32, pid: u32) -> Outcome {
        match self.fits(pid) {
            Some(true) => self.owner(uid, pid).map_or(Outcome::Nothing, Outcome::Owner),
            Some(false) => Outcome::Unwanted,
            None => Outcome::Nothing,
        }
    }

    /// Whether a process is wanted; `None` if it has ended.
    fn fits(&self, pid: u32) -> Option<bool> {
        let Wanted { processes, children, programs, units, .. } = &self.wanted;
        let dir = self.root.join(pid.to_string());
        let is_one = |pid| processes.iter().any(|process| process.pid == pid && !has_ended(&self.root, process));
        let is_process = || is_one(pid) || (*children && self.ancestors(pid).any(is_one));
        let is_inside = |path: &str| path.split('/').any(|part| units.iter().any(|unit| unit == part));
        Some(
            (processes.is_empty() || is_process())
                && (programs.is_empty() || programs.contains(&program(&dir)?.to_string()))
                && (units.is_empty() || is_inside(&cgroup(&dir)?)),
        )
    }

    /// The parent of a process, its parent, and so on, as far as they still exist.
    fn ancestors(&self, pid: u32) -> impl Iterator<Item = u32> {
        let parent = |pid: &u32| stat(&self.root, *pid).map(|stat| stat.parent);
        std::iter::successors(parent(&pid), parent).take(MAX_ANCESTORS)
    }

    /// The owner in the wanted detail, or nothing.
    fn owner(&self, uid: u32, pid: u32) -> Option<Owner> {
        let dir = self.root.join(pid.to_string());
        let mut owner = Owner::user(uid);
        if self.by.tells(Dimension::Process) {
            owner.process = Some(Process { pid, started_ns: started_ns(&self.root, pid)? });
        }
        if self.by.tells(Dimension::Program) {
            owner.program = Some(program(&dir)?);
        }
        if self.by.tells(Dimension::Unit) {
            owner.unit = Some(Unit::Cgroup(self.hierarchy.id(&cgroup(&dir)?)?));
        }
        Some(owner)
    }
}

/// The base name of a process's executable; a process that is about to end has none.
fn program(process: &Path) -> Option<Arc<str>> {
    let path = fs::read_link(process.join("exe")).ok()?;
    let name = path.file_name()?.to_string_lossy();
    Some(name.strip_suffix(" (deleted)").unwrap_or(&name).into())
}

/// The path of a process's cgroup in the hierarchy of version 2, whose number is 0 (`cgroups(7)`).
fn cgroup(process: &Path) -> Option<String> {
    let cgroups = fs::read_to_string(process.join("cgroup")).ok()?;
    cgroups.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// The processor time of this thread so far.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
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
#[path = "search_tests.rs"]
mod tests;
