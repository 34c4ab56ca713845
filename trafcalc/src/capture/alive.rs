//! Whether a process still exists, and when it was started.

use std::collections::HashMap;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Pid, getpgid};

use super::{Owner, Process, Unit};

/// The time unit of /proc: `USER_HZ` is 100 on every architecture that Rust supports.
const NS_PER_TICK: u64 = 10_000_000;

/// Whether `process` is gone, whether or not its id has been reused. `proc` is the path of `/proc`.
///
/// Where /proc hides other users' processes (`hidepid`), the kernel still says whether an id is in use.
pub(super) fn has_ended(proc: &Path, process: &Process) -> bool {
    match started_ticks(proc, process.pid) {
        Some(ticks) => ticks != process.started_ns / NS_PER_TICK,
        None => is_free(process.pid),
    }
}

/// When the process with this id was started, in nanoseconds since boot at the resolution of /proc; `None` if there is none, or it is
/// hidden.
pub(super) fn started_ns(proc: &Path, pid: u32) -> Option<u64> {
    started_ticks(proc, pid).map(|ticks| ticks * NS_PER_TICK)
}

/// Whether the process or cgroup of `owner` is gone; `cgroups` returns the existing cgroups.
pub(super) fn is_gone<'a>(proc: &Path, owner: &Owner, cgroups: impl FnOnce() -> &'a HashMap<u64, String>) -> bool {
    let is_removed = |id| {
        let cgroups = cgroups();
        // If no cgroup is found at all, the hierarchy cannot be read.
        !cgroups.is_empty() && !cgroups.contains_key(&id)
    };
    owner.process.is_some_and(|process| has_ended(proc, &process))
        || matches!(owner.unit, Some(Unit::Cgroup(id)) if is_removed(id))
}

/// By a call that is allowed for any process. A signal is not: a service without privileges can send none.
fn is_free(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| getpgid(Some(Pid::from_raw(pid))) == Err(Errno::ESRCH))
}

fn started_ticks(proc: &Path, pid: u32) -> Option<u64> {
    stat(proc, pid).map(|stat| stat.started_ticks)
}

/// What `/proc/PID/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The id of its parent.
    pub parent: u32,
    /// Its start since boot, in ticks.
    started_ticks: u64,
}

impl Stat {
    /// Its start in nanoseconds since boot, at the resolution of /proc.
    #[must_use]
    pub const fn started_ns(&self) -> u64 {
        self.started_ticks * NS_PER_TICK
    }
}

/// Reads what `proc` says about the process with this id; `None` if there is none, or it is hidden.
#[must_use]
pub fn stat(proc: &Path, pid: u32) -> Option<Stat> {
    let stat = std::fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?;
    // The program's name, in parentheses, may contain any character. What follows begins with the third field; the parent is the 4th,
    // the start the 22nd (proc_pid_stat(5)).
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let parent = fields.nth(4 - 3)?.parse().ok()?;
    let started_ticks = fields.nth(22 - 5)?.parse().ok()?;
    Some(Stat { parent, started_ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Larger than any process id (`PID_MAX_LIMIT` is 2^22).
    const NOBODY: u32 = 5_000_000;

    fn process(pid: u32, started_ns: u64) -> Process {
        Process { pid, started_ns }
    }

    #[test]
    fn a_process_is_known_by_its_number_and_its_start() {
        let proc = tempfile::tempdir().unwrap();
        let dir = proc.path().join(NOBODY.to_string());
        std::fs::create_dir(&dir).unwrap();
        let fields = (3..60).map(|field| if field == 22 { "777".to_owned() } else { field.to_string() });
        let fields: Vec<_> = fields.collect();
        std::fs::write(dir.join("stat"), format!("{NOBODY} (a) b) {}\n", fields.join(" "))).unwrap();
        assert!(!has_ended(proc.path(), &process(NOBODY, 7_770_000_000)));
        assert!(!has_ended(proc.path(), &process(NOBODY, 7_779_999_999)));
        assert!(has_ended(proc.path(), &process(NOBODY, 7_780_000_000)), "its number is somebody else's");
        assert!(has_ended(proc.path(), &process(NOBODY + 1, 7_770_000_000)));
    }

    #[test]
    fn one_that_is_hidden_is_not_gone() {
        let proc = tempfile::tempdir().unwrap();
        assert!(!has_ended(proc.path(), &process(std::process::id(), 0)));
    }
}
