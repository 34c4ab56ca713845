//! Giving up all privileges once everything is open and the backend counts.

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
    /// The user is not there.
    #[error("there is no user {0:?} to run as (service.run_as)")]
    NoUser(String),
    /// Who the user is is not known.
    #[error("who the user {name:?} is (service.run_as) cannot be looked up: {source}")]
    Directory {
        /// Whom the configuration names.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The user is no user of our own.
    #[error("the user {0:?} (service.run_as) is shared with other programs: name one that nothing else runs as")]
    Shared(String),
    /// The kernel does not let us be that user.
    #[error("becoming the user {name:?} (service.run_as) failed: {source}")]
    Switch {
        /// Whom the configuration names.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The user namespace of this process has no such user.
    #[error(
        "the user {name:?} (service.run_as) has the number {uid}, which this user namespace has not: map it (/proc/self/uid_map, \
         gid_map), or set service.run_as = \"root\""
    )]
    Unmapped {
        /// Whom the configuration names.
        name: String,
        /// The number outside of whose reach we are.
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
    /// There is no filter of system calls.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// There are no rules of Landlock.
    #[error("the rules for files (Landlock) cannot be made: {0}")]
    Rules(#[from] landlock::RulesetError),
    /// A look at all threads found a privilege.
    #[error("privileges were given up, but {0}")]
    Left(String),
}

/// What is to stay, and where the service writes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who the service is.
    pub standing: Standing,
    /// What counts.
    pub backend: BackendKind,
    /// Capabilities that are kept, if held, each with what it is for.
    pub kept: BTreeMap<Cap, &'static str>,
    /// Whether other processes are looked at.
    pub looks_at_processes: bool,
    /// Files, and folders with all that is in them, that are written.
    pub places: Vec<PathBuf>,
}

/// A capability, in the order of its number.
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
    /// What `backend` needs to tell accounts apart `by` so, of those who are `wanted`, and to write at these `places` and `files`, of which
    /// some may not be there.
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

/// Gives up everything that `plan` does not keep, in all threads, for good, and gives what is left in a few words, such as
/// `none kept, user trafcalc; seccomp, landlock`.
///
/// # Errors
/// Something is left that should not be. The process must not go on then.
pub fn drop(plan: &Plan) -> Result<String, DropError> {
    let held = caps::read(None, CapSet::Permitted)?;
    let kept: Vec<_> = plan.kept.iter().filter(|(capability, _)| held.contains(&capability.0)).collect();
    // Asked before the filter refuses the question.
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

/// Whether root needs a capability to write there, or to come there: the path or a folder above it is another user's, who can close it
/// to others at any time.
fn is_of_another_user(path: &Path) -> bool {
    let is_another = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.uid() != 0);
    // The folders of a link, and of what it leads to.
    let (named, real) = (std::path::absolute(path), fs::canonicalize(path));
    [named, real].iter().flatten().any(|path| path.ancestors().any(is_another))
}

fn told(kept: &[(&Cap, &&'static str)]) -> String {
    let mut text = String::new();
    for (place, (capability, what)) in kept.iter().enumerate() {
        // Two that are for the same are told at once.
        let is_last_of_these = kept.get(place + 1).is_none_or(|(_, next)| next != what);
        let _ = write!(text, "{}{}", if place == 0 { "" } else { ", " }, capability.0);
        if is_last_of_these {
            let _ = write!(text, " kept {what}");
        }
    }
    text
}

/// Looks at every thread, as the kernel tells of it.
fn check(kept: &CapsHashSet, is_filtered: bool) -> Result<(), DropError> {
    let bits = kept.iter().fold(0, |bits, capability| bits | capability.bitmask());
    for task in threads::tasks().map_err(|source| DropError::Threads { what: "looking at all threads", source })? {
        // One that has ended has nothing left.
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
