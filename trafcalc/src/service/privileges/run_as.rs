//! Changes to the user of the service at the start, and hands over the files that it writes.
//!
//! The capabilities stay until [`super::drop`], because the steps in between need them.

use std::fs;

use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::unistd::{self, Gid, Uid, geteuid};

use super::account::{self, Account, USUAL};
use super::handover::{Handover, Written};
use super::{DropError, threads};

/// Users that several programs share: what belongs to one of them belongs to all those programs.
const SHARED: [&str; 2] = ["nobody", "nfsnobody"];
/// `overflowuid`: the uid that the kernel shows for users that it cannot map.
const OVERFLOW_UID: u32 = 65_534;
/// The capabilities by which root may use any file.
const OF_ANY_FILE: [Capability; 3] =
    [Capability::CAP_DAC_OVERRIDE, Capability::CAP_DAC_READ_SEARCH, Capability::CAP_FOWNER];
const ROOT: (Uid, Gid) = (Uid::from_raw(0), Gid::from_raw(0));

/// The user that the service becomes when root starts it, and whether it gives up its privileges (`service.run_as`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RunAs {
    /// The user `trafcalc`, if `/etc/passwd` has it; otherwise root without capabilities.
    #[default]
    Usual,
    /// This user, which must exist.
    User(String),
    /// No change: the service keeps its user and all privileges.
    AsStarted,
}

/// The user of the service from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// This user, which is not root.
    User(String),
    /// Root, for this reason.
    Root(String),
}

/// Changes to the configured user, if root starts the service, and keeps the capabilities. Those by which root may use any file have no
/// effect from then on, so that a path that the user may not use fails at once and not later. What root wrote before is handed over to
/// the user; if the service stays root, what the user wrote is handed over to root.
///
/// Returns `None` if nothing is to be given up.
///
/// # Errors
/// The user is unknown, is shared with other programs, or the kernel refuses.
pub fn become_user(run_as: &RunAs, written: &Written) -> Result<Option<Standing>, DropError> {
    if !geteuid().is_root() {
        let standing = || Standing::User(account::name_of(geteuid()));
        return Ok((*run_as != RunAs::AsStarted).then(standing));
    }
    let usual = account::of_this_host(USUAL);
    let stay = |why: Option<String>| {
        let from: Vec<_> = usual.iter().map(|user| (user.uid, user.gid)).collect();
        Handover { from: &from, to: ROOT }.give(&Written { made: Vec::new(), ..written.clone() });
        why.map(Standing::Root)
    };
    let user = match (run_as, &usual) {
        (RunAs::AsStarted, _) => return Ok(stay(None)),
        (RunAs::Usual, None) => return Ok(stay(Some(format!("there is no user {USUAL}")))),
        (RunAs::Usual, Some(user)) => user.clone(),
        (RunAs::User(name), _) => named(name)?,
    };
    if user.uid.is_root() {
        return Ok(stay(Some(format!("service.run_as is {}", user.name))));
    }
    let can = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    if !can(Capability::CAP_SETUID) || !can(Capability::CAP_SETGID) {
        return Ok(stay(Some("CAP_SETUID and CAP_SETGID are missing".to_owned())));
    }
    if !is_here(&user) {
        return match run_as {
            RunAs::Usual => Ok(stay(Some(format!("this user namespace has no user {USUAL}")))),
            _ => Err(DropError::Unmapped { name: user.name, uid: user.uid.as_raw() }),
        };
    }
    if *run_as == RunAs::Usual {
        tracing::info!("becoming the user {USUAL}; with service.run_as = \"root\" the service would stay root");
    }
    let others = usual.iter().filter(|other| other.uid != user.uid).map(|other| (other.uid, other.gid));
    let from: Vec<_> = [ROOT].into_iter().chain(others).collect();
    Handover { from: &from, to: (user.uid, user.gid) }.give(written);
    threads::keep_capabilities().map_err(|(what, source)| DropError::Threads { what, source })?;
    switch(&user).map_err(|errno| DropError::Switch { name: user.name.clone(), source: errno.into() })?;
    let mut held = caps::read(None, CapSet::Permitted)?;
    held.retain(|capability| !OF_ANY_FILE.contains(capability));
    caps::set(None, CapSet::Effective, &held)?;
    Ok(Some(Standing::User(user.name)))
}

/// The user of this name, unless other programs share it.
fn named(name: &str) -> Result<Account, DropError> {
    let failed = |source| DropError::Directory { name: name.to_owned(), source };
    let user = account::find(name).map_err(failed)?.ok_or_else(|| DropError::NoUser(name.to_owned()))?;
    let is_shared = SHARED.contains(&name) || user.uid.as_raw() == OVERFLOW_UID;
    if is_shared { Err(DropError::Shared(name.to_owned())) } else { Ok(user) }
}

/// Changes the user of all threads: the C library makes each of them do the same. No other group is needed, and each would be a
/// privilege.
fn switch(user: &Account) -> Result<(), Errno> {
    unistd::setgroups(&[user.gid])?;
    unistd::setresgid(user.gid, user.gid, user.gid)?;
    unistd::setresuid(user.uid, user.uid, user.uid)
}

/// Whether this user namespace maps a user and the user's group.
fn is_here(user: &Account) -> bool {
    let has = |map: &str, id: u32| fs::read_to_string(map).map_or(true, |map| is_mapped(&map, id));
    has("/proc/self/uid_map", user.uid.as_raw()) && has("/proc/self/gid_map", user.gid.as_raw())
}

/// Whether a map of `user_namespaces(7)` contains an id: its lines are the first id inside, the first outside, and the number of ids.
fn is_mapped(map: &str, id: u32) -> bool {
    let has = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u64>().unwrap_or_default());
        let (first, count) = (numbers.next().unwrap_or_default(), numbers.nth(1).unwrap_or_default());
        (first..first + count).contains(&u64::from(id))
    };
    map.lines().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Result<Option<Standing>, DropError> {
        become_user(&RunAs::User(name.to_owned()), &Written::default())
    }

    #[test]
    fn whom_other_programs_share_is_refused() {
        if !geteuid().is_root() {
            return;
        }
        assert!(matches!(named("nobody"), Err(DropError::Shared(_))));
        assert!(matches!(named("nosuchuser"), Err(DropError::NoUser(_))));
        let root = Standing::Root("service.run_as is root".to_owned());
        assert_eq!(named("root").unwrap(), Some(root));
        assert_eq!(become_user(&RunAs::AsStarted, &Written::default()).unwrap(), None);
    }

    #[test]
    fn users_that_a_namespace_has_are_told_from_those_it_has_not() {
        let whole = "         0          0 4294967295\n";
        assert!(is_mapped(whole, 0) && is_mapped(whole, 4_294_967_294));
        let rootless = "         0       1000          1\n         1     100000      65536\n";
        assert!(is_mapped(rootless, 0) && is_mapped(rootless, 998) && is_mapped(rootless, 65_536));
        assert!(!is_mapped(rootless, 65_537));
        assert!(!is_mapped("0 1000 1\n", 998));
        assert!(!is_mapped("", 0));
    }
}
