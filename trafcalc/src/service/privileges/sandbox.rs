//! Gives up all privileges once everything is open and the backend counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability, CapsHashSet};

use super::run_as::Standing;
use super::syscalls::{self, FilterError};
use super::{probes, threads, write_access};
use crate::capture::{BackendKind, By, Dimension, Wanted};

/// Why privileges could not be given up.
#[derive(Debug, thiserror::Error)]
pub enum DropError {
    /// The user does not exist.
    #[error("there is no user {0:?} to run as (service.run_as)")]
    NoUser(String),
    /// The user cannot be looked up.
    #[error("who the user {name:?} is (service.run_as) cannot be looked up: {source}")]
    Directory {
        /// The configured name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Other programs also run as this user.
    #[error("the user {0:?} (service.run_as) is shared with other programs: name one that nothing else runs as")]
    Shared(String),
    /// The kernel refuses the change of user.
    #[error("becoming the user {name:?} (service.run_as) failed: {source}")]
    Switch {
        /// The configured name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The user namespace of this process does not map the user.
    #[error(
        "the user {name:?} (service.run_as) has the number {uid}, which this user namespace has not: map it (/proc/self/uid_map, \
         gid_map), or set service.run_as = \"root\""
    )]
    Unmapped {
        /// The configured name.
        name: String,
        /// The uid.
        uid: u32,
    },
    /// Capabilities could not be read or set.
    #[error("capabilities cannot be given up: {0}")]
    Capabilities(#[from] caps::errors::CapsError),
    /// A thread could not give something up.
    #[error("privileges cannot be given up: {what}: {source}")]
    Threads {
        /// The step.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The filter of system calls failed.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The Landlock rules failed.
    #[error("the rules for files (Landlock) cannot be made: {0}")]
    Rules(#[from] landlock::RulesetError),
    /// The final check of all threads found a privilege.
    #[error("privileges were given up, but {0}")]
    Left(String),
}

/// The privileges that stay, and where the service writes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The user of the service.
    pub standing: Standing,
    /// The backend.
    pub backend: BackendKind,
    /// Capabilities that are kept, if held, each with what it is for.
    pub kept: BTreeMap<Cap, &'static str>,
    /// Whether the service reads other processes.
    pub looks_at_processes: bool,
    /// The files that are written, and the folders in which anything may be written.
    pub places: Vec<PathBuf>,
}

/// A capability, ordered by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap(pub Capability);

impl Ord for Cap {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.index().cmp(&other.0.index())
    }
}

impl PartialOrd for Cap {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Plan {
    /// The plan for a `backend` that tells accounts apart `by` these dimensions with the filters `wanted`, and writes at these `places`
    /// and `files`, some of which may not exist.
    #[must_use]
    pub fn new(
        standing: Standing,
        backend: BackendKind,
        by: By,
        wanted: &Wanted,
        (places, files): (Vec<PathBuf>, &[PathBuf]),
    ) -> Self {
        let searches = backend == BackendKind::Packet && (by != By::USER || wanted.chooses_processes());
        let names_programs = by.tells(Dimension::Process);
        let mut kept = BTreeMap::new();
        if searches {
            let what = "to find the process that holds a connection";
            kept.insert(Cap(Capability::CAP_SYS_PTRACE), what);
            kept.insert(Cap(Capability::CAP_DAC_READ_SEARCH), what);
        } else if names_programs {
            kept.insert(Cap(Capability::CAP_SYS_PTRACE), "to read the paths of programs");
        }
        if matches!(standing, Standing::Root(_)) && places.iter().chain(files).any(|path| is_of_another_user(path)) {
            kept.insert(Cap(Capability::CAP_DAC_OVERRIDE), "to write in folders of other users");
        }
        Self { standing, backend, kept, looks_at_processes: searches || names_programs, places }
    }

    /// Adds what this kernel needs.
    #[must_use]
    pub fn with_kernel(mut self) -> Self {
        if self.backend == BackendKind::Ebpf && probes::is_bpf_gated() {
            self.kept.insert(Cap(Capability::CAP_BPF), "to read the counters, which this kernel can refuse to others");
        }
        self
    }
}

/// Gives up everything that `plan` does not keep, in all threads, for good. Returns a summary of what is left, such as `none kept, user
/// trafcalc; seccomp, landlock`.
///
/// # Errors
/// A privilege is left that should not be. The process must not continue then.
pub fn drop(plan: &Plan) -> Result<String, DropError> {
    let held = caps::read(None, CapSet::Permitted)?;
    let kept: Vec<_> = plan.kept.iter().filter(|(capability, _)| held.contains(&capability.0)).collect();
    // Probed before the filter forbids the system call.
    let no_landlock = probes::lack_of_landlock();
    let rules = if plan.looks_at_processes { None } else { write_access::rules(&plan.places)? };
    let set: CapsHashSet = kept.iter().map(|(capability, _)| capability.0).collect();
    threads::restrict(&set, rules.as_ref().map(|rules| rules.as_fd()))
        .map_err(|(what, source)| DropError::Threads { what, source })?;
    let unfiltered = syscalls::filter(plan.backend)?;
    check(&set, unfiltered.is_none())?;
    let capabilities = if kept.is_empty() { "none kept".to_owned() } else { told(&kept) };
    let user = match &plan.standing {
        Standing::User(name) => format!("user {name}"),
        Standing::Root(why) => format!("user root, as {why}"),
    };
    let restriction = |name: &str, lack: Option<&str>| lack.map_or(name.to_owned(), |why| format!("no {name}, {why}"));
    let filter = restriction("seccomp", unfiltered);
    let landlock = match (&rules, plan.looks_at_processes) {
        (Some(_), _) => None,
        (None, true) => Some("which would hide other processes"),
        (None, false) => Some(no_landlock.unwrap_or(probes::why(libc::ENOSYS))),
    };
    Ok(format!("{capabilities}, {user}; {filter}, {}", restriction("landlock", landlock)))
}

/// Whether root needs a capability to write or to reach a path: the path or a folder above it belongs to another user, who can close it
/// to others at any time.
fn is_of_another_user(path: &Path) -> bool {
    let is_another = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.uid() != 0);
    // The folders above a link, and those above its target.
    let (named, real) = (std::path::absolute(path), fs::canonicalize(path));
    [named, real].iter().flatten().any(|path| path.ancestors().any(is_another))
}

fn told(kept: &[(&Cap, &&'static str)]) -> String {
    let mut text = String::new();
    for (place, (capability, what)) in kept.iter().enumerate() {
        // Capabilities with the same reason are listed together.
        let is_last_of_these = kept.get(place + 1).is_none_or(|(_, next)| next != what);
        let _ = write!(text, "{}{}", if place == 0 { "" } else { ", " }, capability.0);
        if is_last_of_these {
            let _ = write!(text, " kept {what}");
        }
    }
    text
}

/// Checks every thread's status in /proc.
fn check(kept: &CapsHashSet, is_filtered: bool) -> Result<(), DropError> {
    let bits = kept.iter().fold(0, |bits, capability| bits | capability.bitmask());
    for task in threads::tasks().map_err(|source| DropError::Threads { what: "looking at all threads", source })? {
        // A thread that has ended has no privileges.
        let Ok(status) = fs::read_to_string(format!("/proc/self/task/{task}/status")) else { continue };
        if let Some(what) = left(&status, bits, is_filtered) {
            return Err(DropError::Left(format!("thread {task} still has {what}")));
        }
    }
    Ok(())
}

/// The first line of a thread's status that is not as it should be.
fn left(status: &str, kept: u64, is_filtered: bool) -> Option<String> {
    let wanted = |name| match name {
        "CapInh" | "CapAmb" => Some(format!("{:016x}", 0)),
        "CapPrm" | "CapEff" => Some(format!("{kept:016x}")),
        "NoNewPrivs" => Some("1".to_owned()),
        "Seccomp" if is_filtered => Some("2".to_owned()),
        _ => None,
    };
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let wrong = lines.find(|(name, value)| wanted(name).is_some_and(|wanted| value.trim() != wanted));
    wrong.map(|(name, value)| format!("{name} {}", value.trim()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    const DROPPED: &str = "Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t0000000000080000\nCapEff:\t0000000000080000\n\
        CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";

    #[test]
    fn each_privilege_that_is_left_is_found() {
        let kept = Capability::CAP_SYS_PTRACE.bitmask();
        assert_eq!(left(DROPPED, kept, true), None);
        for (line, other) in [
            ("CapInh:\t0000000000000000", "CapInh:\t0000000000000001"),
            ("CapPrm:\t0000000000080000", "CapPrm:\t0000000000080001"),
            ("CapEff:\t0000000000080000", "CapEff:\t0000000000280000"),
            ("CapAmb:\t0000000000000000", "CapAmb:\t0000000000002000"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
            ("Seccomp:\t2", "Seccomp:\t0"),
        ] {
            assert!(left(&DROPPED.replace(line, other), kept, true).is_some(), "{other}");
        }
    }

    fn plan(backend: BackendKind, by: By) -> Plan {
        Plan::new(Standing::User("trafcalc".to_owned()), backend, by, &Wanted::default(), (Vec::new(), &[]))
    }

    #[test]
    fn root_needs_a_capability_where_another_user_can_close_the_way() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let [theirs, below, file, link] =
            ["theirs", "theirs/below", "file", "link"].map(|name| folder.path().join(name));
        fs::create_dir_all(&below).unwrap();
        fs::write(&file, "").unwrap();
        symlink(&below, &link).unwrap();
        let needs = |places: &[&PathBuf], files: &[&PathBuf]| {
            let [places, files] =
                [places, files].map(|paths| paths.iter().map(|&path| path.clone()).collect::<Vec<_>>());
            let root = Standing::Root("x".to_owned());
            let plan = Plan::new(root, BackendKind::Ebpf, By::USER, &Wanted::default(), (places, &files));
            plan.kept.contains_key(&Cap(Capability::CAP_DAC_OVERRIDE))
        };
        assert!(!needs(&[&theirs, &below, &link], &[&file, &folder.path().join("missing")]));
        chown(&theirs, Some(4_242), None).unwrap();
        assert!(needs(&[&theirs], &[]) && needs(&[&below], &[]) && needs(&[&link], &[]));
        assert!(needs(&[], &[&below.join("missing")]));
        assert!(!needs(&[], &[&file]));
        chown(&file, Some(4_242), None).unwrap();
        assert!(needs(&[], &[&file]));
    }

    #[test]
    fn nothing_is_kept_where_users_are_counted() {
        for backend in [BackendKind::Ebpf, BackendKind::Packet] {
            let plan = plan(backend, By::USER);
            assert!(plan.kept.is_empty() && !plan.looks_at_processes);
        }
        let units = plan(BackendKind::Ebpf, By::USER.and(Dimension::Unit));
        assert!(units.kept.is_empty() && !units.looks_at_processes);
    }

    #[test]
    fn what_is_kept_is_told_with_its_reason() {
        let ebpf = plan(BackendKind::Ebpf, By::USER.and(Dimension::Process));
        let kept: Vec<_> = ebpf.kept.iter().collect();
        assert_eq!(told(&kept), "CAP_SYS_PTRACE kept to read the paths of programs");
        let packet = plan(BackendKind::Packet, By::USER.and(Dimension::Program));
        let kept: Vec<_> = packet.kept.iter().collect();
        assert_eq!(told(&kept), "CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE kept to find the process that holds a connection");
        assert!(packet.looks_at_processes);
    }
}
