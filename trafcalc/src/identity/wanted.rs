//! Resolves the filters: what the user wrote, in the numbers of this system. Missing users and units are waited for,
//! unless they are on the command line, where a mistyped name is an error at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::containers::Runtimes;
use super::directory::Answer;
use super::hints;
use super::waiting::{LookUp, Waiting};
use crate::capture::{Hierarchy, Process, SubordinateRange, Wanted, owner_of, stat};
use crate::config::{BaseName, Only};
use crate::near::question;

/// How long the start waits for the directory of users. Users without an answer by then are waited for while others are
/// counted.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a filter cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum WantedError {
    /// No such user.
    #[error(
        "there is no user {name:?} on this host{}; a user without a name can be given by number, and --later waits for \
         users who do not exist yet",
        in_parentheses(near)
    )]
    NoUser {
        /// The name that was given.
        name: String,
        /// Similar names.
        near: Vec<String>,
    },
    /// The uid is subordinate and has no account of its own.
    #[error(
        "the user {uid} is subordinate to the user {owner} (/etc/subuid), to whom its bytes belong: give that user, or set \
         `subordinate = \"apart\"` in the configuration file"
    )]
    Subordinate {
        /// The uid that was given.
        uid: u32,
        /// The owner of its bytes.
        owner: u32,
    },
    /// No such process.
    #[error("there is no process {0}; to count one that is yet to start, give its user, program or unit instead")]
    NoProcess(u32),
    /// The number is that of a thread, not of a process.
    #[error("{0} is a thread of process {1}: give that")]
    Thread(u32, u32),
    /// No such cgroup.
    #[error(
        "there is no unit or cgroup {name:?} on this host{}; if it may appear later, add --later",
        in_parentheses(near)
    )]
    NoUnit {
        /// The name that was given.
        name: String,
        /// Similar names.
        near: Vec<String>,
    },
}

fn in_parentheses(near: &[String]) -> String {
    question(near).map(|question| format!(" ({question})")).unwrap_or_default()
}

/// Resolves `only` on the host whose `/proc` is at `proc`; returns also who is waited for. A user's `subordinates` are
/// wanted with the user.
///
/// # Errors
/// A user, process or unit does not exist and is not waited for.
pub fn resolve(
    only: &Only,
    proc: &Path,
    subordinates: &[SubordinateRange],
    look_up: LookUp,
) -> Result<(Wanted, Waiting), WantedError> {
    warn_of_links(&only.programs);
    let names = |parts: &[BaseName]| parts.iter().map(|part| part.as_str().to_owned()).collect::<Vec<_>>();
    let processes = processes(only, proc)?;
    let mounts = proc.join("mounts");
    let units = names(&only.units);
    let absent_units = absent_units(only, &units, &mounts)?;
    let (mut waiting, answers) = Waiting::start(&only.users, &absent_units, mounts, subordinates, look_up, PATIENCE);
    let mut users = Vec::new();
    for (name, answer) in answers {
        match user(&name, answer, subordinates)? {
            Some(uid) => users.push(uid),
            // The name was typed, so the user who typed it can correct it.
            None if matches!(answer, Some(Answer::NoSuchUser | Answer::Unclear(_))) && !only.later_users => {
                let near = hints::users(&name, Path::new(hints::PASSWD));
                return Err(WantedError::NoUser { name, near });
            }
            None => {
                warn_of_absent_user(&name, answer);
                waiting.add_user(&name);
            }
        }
    }
    let users_to_come = waiting.users();
    let programs = names(&only.programs);
    Ok((Wanted { users, users_to_come, processes, children: only.children, programs, units }, waiting))
}

/// The user with this name, or else with this uid.
fn user(
    name: &str,
    answer: Option<Answer<u32>>,
    subordinates: &[SubordinateRange],
) -> Result<Option<u32>, WantedError> {
    let known = if let Some(Answer::Known(uid)) = answer { Some(uid) } else { name.parse().ok() };
    let Some(uid) = known else { return Ok(None) };
    let owner = owner_of(subordinates, uid);
    if owner == uid { Ok(Some(uid)) } else { Err(WantedError::Subordinate { uid, owner }) }
}

fn warn_of_absent_user(name: &str, answer: Option<Answer<u32>>) {
    match answer {
        Some(Answer::Failed(errno)) => {
            tracing::warn!("the directory of users does not answer ({errno}): trafcalc waits for the user {name:?}");
        }
        None => tracing::warn!("the directory of users does not answer: trafcalc waits for the user {name:?}"),
        Some(Answer::Unclear(errno)) => tracing::warn!(
            "there is no such user, or a part of the directory of users is not there ({errno}): trafcalc waits for the user {name:?}"
        ),
        Some(_) => {
            let near = in_parentheses(&hints::users(name, Path::new(hints::PASSWD)));
            tracing::warn!("there is no such user yet: trafcalc waits for the user {name:?}{near}");
        }
    }
}

/// Warns of names that are links: the program has the name of the link's target.
fn warn_of_links(programs: &[BaseName]) {
    for name in programs {
        if let Some(program) = hints::link(name.as_str(), &hints::FOLDERS.map(Path::new)) {
            let name = name.as_str();
            tracing::warn!("{name:?} is a link, and what it starts is the program {program:?}: you may mean that");
        }
    }
}

/// The processes that were named. The backend finds their children, because it knows since when it counts.
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
    let process = |(pid, started_ns)| Process { pid, started_ns };
    Ok(found.into_iter().map(process).collect())
}

/// The process that a task belongs to, by `Tgid:` in its status file.
fn leader(proc: &Path, pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(proc.join(pid.to_string()).join("status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// The units to wait for.
fn absent_units(only: &Only, units: &[String], mounts: &Path) -> Result<Vec<String>, WantedError> {
    if units.is_empty() {
        return Ok(Vec::new());
    }
    let hierarchy = Hierarchy::mounted(mounts);
    let is_there = hierarchy.has_parts(units);
    let absent: Vec<_> = units.iter().zip(is_there).filter(|(_, is_there)| !is_there).map(|(unit, _)| unit).collect();
    match absent.first() {
        Some(&unit) if !only.later_units => {
            Err(WantedError::NoUnit { name: unit.clone(), near: hints::units(unit, &hierarchy, &Runtimes::of_host()) })
        }
        _ => {
            for unit in &absent {
                let near = in_parentheses(&hints::units(unit, &hierarchy, &Runtimes::of_host()));
                tracing::warn!("there is no unit or cgroup {unit:?} yet: trafcalc waits for it{near}");
            }
            Ok(absent.into_iter().cloned().collect())
        }
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

    /// What `only` resolves to, and who is waited for.
    fn of(only: &Only, ranges: &[SubordinateRange]) -> Result<(Wanted, Vec<String>), WantedError> {
        let (wanted, waiting) = resolve(only, host().path(), ranges, directory)?;
        Ok((wanted, waiting.names().collect()))
    }

    /// A directory that knows root and fails for one name.
    fn directory(name: &str) -> Answer<u32> {
        match name {
            "root" => Answer::Known(0),
            "unanswered" => Answer::Failed(nix::errno::Errno::ETIMEDOUT),
            "unclear" => Answer::Unclear(nix::errno::Errno::ENOENT),
            _ => Answer::NoSuchUser,
        }
    }

    fn of_user(name: &str) -> Only {
        Only { users: vec![name.to_owned()], ..Only::default() }
    }

    fn pids(only: &Only) -> Result<Vec<(u32, u64)>, WantedError> {
        let (wanted, _) = of(only, &[])?;
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
        let users = |name: &str| of(&of_user(name), &[]).map(|(wanted, _)| wanted.users);
        assert_eq!(users("root").unwrap(), [0]);
        assert_eq!(users("70020001").unwrap(), [70_020_001]);
        for nobody in ["no such user", "", "-1", "4294967296"] {
            assert!(matches!(users(nobody), Err(WantedError::NoUser { .. })), "{nobody}");
        }
    }

    #[test]
    fn a_user_who_may_come_later_is_waited_for_and_nobody_else_is_wanted_meanwhile() {
        let only = Only { users: vec!["root".to_owned(), "alice".to_owned()], later_users: true, ..Only::default() };
        let (wanted, waiting) = of(&only, &[]).unwrap();
        assert_eq!((wanted.users, wanted.users_to_come), (vec![0], 1));
        assert_eq!(waiting, ["user alice"]);
        let (wanted, _) = of(&Only { later_users: true, ..of_user("alice") }, &[]).unwrap();
        assert!(wanted.chooses_users() && wanted.users.is_empty());
        assert!(!of(&Only::default(), &[]).unwrap().0.chooses_users());
    }

    #[test]
    fn a_directory_that_does_not_answer_is_no_missing_user() {
        let (wanted, waiting) = of(&of_user("unanswered"), &[]).unwrap();
        assert_eq!((wanted.users, wanted.users_to_come), (Vec::new(), 1));
        assert_eq!(waiting, ["user unanswered"]);
    }

    #[test]
    fn where_it_is_unclear_a_configured_user_is_waited_for_and_a_typed_one_is_refused() {
        let only = |later_users| Only { later_users, ..of_user("unclear") };
        assert_eq!(of(&only(true), &[]).unwrap().1, ["user unclear"]);
        assert!(matches!(of(&only(false), &[]), Err(WantedError::NoUser { .. })));
    }

    #[test]
    fn a_subordinate_user_is_refused_with_the_one_who_has_his_bytes() {
        let ranges = [SubordinateRange { first: 70_020_000, count: 10, owner: 0 }];
        let users = |name: &str| of(&of_user(name), &ranges).map(|(wanted, _)| wanted.users);
        assert_eq!(users("root").unwrap(), [0]);
        assert_eq!(users("70020010").unwrap(), [70_020_010]);
        assert!(matches!(users("70020009"), Err(WantedError::Subordinate { uid: 70_020_009, owner: 0 })));
    }

    #[test]
    fn a_unit_has_to_be_there_unless_it_may_come_later() {
        let units = |name: &str, later_units| {
            let only = Only { units: vec![name.parse().unwrap()], later_units, ..Only::default() };
            of(&only, &[]).map(|(wanted, waiting)| (wanted.units, waiting.len()))
        };
        assert_eq!(units("a.service", false).unwrap(), (vec!["a.service".to_owned()], 0));
        assert_eq!(units("system.slice", false).unwrap(), (vec!["system.slice".to_owned()], 0));
        assert!(matches!(units("b.service", false), Err(WantedError::NoUnit { .. })));
        assert_eq!(units("b.service", true).unwrap(), (vec!["b.service".to_owned()], 1));
    }
}
