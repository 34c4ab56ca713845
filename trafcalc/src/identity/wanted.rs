//! Whose traffic is wanted: what the user wrote, in the numbers of this system.

use std::collections::BTreeMap;
use std::path::Path;

use super::users;
use crate::capture::{Hierarchy, Process, SubordinateRange, Wanted, owner_of, stat};
use crate::config::{LastPart, Only};

/// Why it cannot be known who is meant.
#[derive(Debug, thiserror::Error)]
pub enum WantedError {
    /// No such user.
    #[error("there is no user {0:?} on this host; who has no name here may be given by number")]
    NoUser(String),
    /// A user who has no account.
    #[error(
        "the user {uid} is subordinate to the user {owner} (/etc/subuid), who has his bytes: give that, or set \
         `subordinate = \"apart\"` in the configuration file"
    )]
    Subordinate {
        /// Who was named.
        uid: u32,
        /// Who has his bytes.
        owner: u32,
    },
    /// No such process.
    #[error("there is no process {0}; to count one that is yet to start, give its user, program or unit instead")]
    NoProcess(u32),
    /// A thread has a number, too.
    #[error("{0} is a thread of process {1}: give that")]
    Thread(u32, u32),
    /// No such cgroup.
    #[error(
        "there is no unit or cgroup {0:?} on this host; if it may appear later, set `later = true` under [only] in the \
         configuration file"
    )]
    NoUnit(String),
}

/// What `only` means on the host whose `/proc` is at `proc`. A user is wanted with his `subordinates`.
///
/// # Errors
/// Somebody is meant who is not there.
pub fn resolve(only: &Only, proc: &Path, subordinates: &[SubordinateRange]) -> Result<Wanted, WantedError> {
    let names = |parts: &[LastPart]| parts.iter().map(|part| part.as_str().to_owned()).collect();
    require_units(only, proc)?;
    Ok(Wanted {
        users: only.users.iter().map(|name| user(name, subordinates)).collect::<Result<_, _>>()?,
        processes: processes(only, proc)?,
        children: only.children,
        programs: names(&only.programs),
        units: names(&only.units),
    })
}

fn user(name: &str, subordinates: &[SubordinateRange]) -> Result<u32, WantedError> {
    let uid = users::uid(name).ok_or_else(|| WantedError::NoUser(name.to_owned()))?;
    let owner = owner_of(subordinates, uid);
    if owner == uid { Ok(uid) } else { Err(WantedError::Subordinate { uid, owner }) }
}

/// The processes that were named. Their children are for whoever counts to find, who knows since when it counts.
fn processes(only: &Only, proc: &Path) -> Result<Vec<Process>, WantedError> {
    let mut found = BTreeMap::new();
    for pid in &only.pids {
        let pid = pid.get();
        let leader = leader(proc, pid).ok_or(WantedError::NoProcess(pid))?;
        if leader != pid {
            return Err(WantedError::Thread(pid, leader));
        }
        found.insert(pid, stat(proc, pid).ok_or(WantedError::NoProcess(pid))?.started_ns());
    }
    let process = |(pid, started_ns)| Process { pid, started_ns, program: "".into() };
    Ok(found.into_iter().map(process).collect())
}

/// The process that a task belongs to, by the line `Tgid:` of its status.
fn leader(proc: &Path, pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(proc.join(pid.to_string()).join("status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

fn require_units(only: &Only, proc: &Path) -> Result<(), WantedError> {
    if only.units.is_empty() {
        return Ok(());
    }
    let cgroups = Hierarchy::mounted(&proc.join("mounts")).cgroups();
    let is_there = |unit: &LastPart| cgroups.values().any(|path| path.split('/').any(|part| part == unit.as_str()));
    match only.units.iter().find(|unit| !is_there(unit)) {
        Some(unit) if only.later => {
            tracing::warn!("there is no unit or cgroup {:?} yet", unit.as_str());
            Ok(())
        }
        Some(unit) => Err(WantedError::NoUnit(unit.as_str().to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `/proc` with the processes 1 and 7, a thread 12 of 7, and a unit.
    fn host() -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        for (pid, leader, parent) in [(1, 1, 0), (7, 7, 1), (12, 7, 1)] {
            let folder = proc.path().join(pid.to_string());
            std::fs::create_dir(&folder).unwrap();
            let rest = (5..30).map(|field| if field == 22 { (100 * pid).to_string() } else { "0".to_owned() });
            let rest: Vec<_> = rest.collect();
            std::fs::write(folder.join("stat"), format!("{pid} (a) S {parent} {}", rest.join(" "))).unwrap();
            std::fs::write(folder.join("status"), format!("Name:\ta\nTgid:\t{leader}\n")).unwrap();
        }
        let root = proc.path().join("cgroups");
        std::fs::create_dir_all(root.join("system.slice/a.service")).unwrap();
        std::fs::write(proc.path().join("mounts"), format!("cgroup2 {} cgroup2 rw 0 0\n", root.display())).unwrap();
        proc
    }

    fn pids(only: &Only) -> Result<Vec<(u32, u64)>, WantedError> {
        let wanted = resolve(only, host().path(), &[])?;
        Ok(wanted.processes.iter().map(|process| (process.pid, process.started_ns)).collect())
    }

    fn of_pid(pid: &str) -> Only {
        Only { pids: vec![pid.parse().unwrap()], ..Only::default() }
    }

    #[test]
    fn a_process_is_meant_by_its_number_and_its_start() {
        assert_eq!(pids(&of_pid("7")).unwrap(), [(7, 7_000_000_000)]);
        assert!(matches!(pids(&of_pid("2")), Err(WantedError::NoProcess(2))));
        assert!(matches!(pids(&of_pid("12")), Err(WantedError::Thread(12, 7))));
    }

    #[test]
    fn a_user_is_meant_by_name_or_number() {
        let users = |name: &str| {
            resolve(&Only { users: vec![name.to_owned()], ..Only::default() }, host().path(), &[])
                .map(|wanted| wanted.users)
        };
        assert_eq!(users("root").unwrap(), [0]);
        assert_eq!(users("70020001").unwrap(), [70_020_001]);
        for nobody in ["no such user", "", "-1", "4294967296"] {
            assert!(matches!(users(nobody), Err(WantedError::NoUser(_))), "{nobody}");
        }
    }

    #[test]
    fn a_subordinate_user_is_refused_with_the_one_who_has_his_bytes() {
        let ranges = [SubordinateRange { first: 70_020_000, count: 10, owner: 0 }];
        let users = |name: &str| {
            let only = Only { users: vec![name.to_owned()], ..Only::default() };
            resolve(&only, host().path(), &ranges).map(|wanted| wanted.users)
        };
        assert_eq!(users("root").unwrap(), [0]);
        assert_eq!(users("70020010").unwrap(), [70_020_010]);
        assert!(matches!(users("70020009"), Err(WantedError::Subordinate { uid: 70_020_009, owner: 0 })));
    }

    #[test]
    fn a_unit_has_to_be_there_unless_it_may_come_later() {
        let units = |name: &str, later| {
            let only = Only { units: vec![name.parse().unwrap()], later, ..Only::default() };
            resolve(&only, host().path(), &[]).map(|wanted| wanted.units)
        };
        assert_eq!(units("a.service", false).unwrap(), ["a.service"]);
        assert_eq!(units("system.slice", false).unwrap(), ["system.slice"]);
        assert!(matches!(units("b.service", false), Err(WantedError::NoUnit(_))));
        assert_eq!(units("b.service", true).unwrap(), ["b.service"]);
    }
}
