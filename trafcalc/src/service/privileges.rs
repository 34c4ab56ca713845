//! Whether the capabilities are there that counting needs, asked before anything is touched.

use caps::{CapSet, Capability, CapsHashSet};

use crate::capture::BackendKind;

/// A capability is missing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {} backend needs {}: run it as root, or from its systemd unit, which grants it",
    .backend.name(),
    join(.missing)
)]
pub struct MissingPrivilege {
    /// The backend that needs them.
    pub backend: BackendKind,
    /// Those it has not got.
    pub missing: Vec<Capability>,
}

fn join(capabilities: &[Capability]) -> String {
    capabilities.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// Checks that `backend`, or any backend where none is asked for, has what it needs.
///
/// What cannot be read is not in the way: then the kernel says so later.
pub fn check(backend: Option<BackendKind>) -> Result<(), MissingPrivilege> {
    caps::read(None, CapSet::Effective).map_or(Ok(()), |held| check_held(backend, &held))
}

/// Capabilities for the self-test are missing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the self-test needs {}: run it as root", join(.missing))]
pub struct SelftestPrivilege {
    /// Those that are not there.
    pub missing: Vec<Capability>,
}

/// A network namespace (`CAP_SYS_ADMIN`), its loopback (`CAP_NET_ADMIN`), and programs of users of their own.
const SELFTEST_NEEDS: [Capability; 4] =
    [Capability::CAP_SYS_ADMIN, Capability::CAP_NET_ADMIN, Capability::CAP_SETUID, Capability::CAP_SETGID];

/// Checks that the self-test of `backend`, or of any where none is asked for, has what it needs.
pub fn check_for_selftest(backend: Option<BackendKind>) -> Result<(), SelftestPrivilege> {
    caps::read(None, CapSet::Effective).map_or(Ok(()), |held| check_held_for_selftest(backend, &held))
}

fn check_held_for_selftest(backend: Option<BackendKind>, held: &CapsHashSet) -> Result<(), SelftestPrivilege> {
    let counting = check_held(backend, held).err().map(|error| error.missing).unwrap_or_default();
    let missing: Vec<_> = SELFTEST_NEEDS.into_iter().filter(|needed| !held.contains(needed)).chain(counting).collect();
    if missing.is_empty() { Ok(()) } else { Err(SelftestPrivilege { missing }) }
}

fn check_held(backend: Option<BackendKind>, held: &CapsHashSet) -> Result<(), MissingPrivilege> {
    match backend {
        Some(backend) => require(backend, held),
        None => require(BackendKind::Ebpf, held).or_else(|_| require(BackendKind::Packet, held)),
    }
}

fn require(backend: BackendKind, held: &CapsHashSet) -> Result<(), MissingPrivilege> {
    let missing: Vec<_> = needs(backend, held).iter().copied().filter(|needed| !held.contains(needed)).collect();
    if missing.is_empty() { Ok(()) } else { Err(MissingPrivilege { backend, missing }) }
}

/// bpf(2): since kernel 5.8 `CAP_BPF` and `CAP_PERFMON` do; `CAP_SYS_ADMIN` does on every kernel. packet(7):
/// `CAP_NET_RAW`.
fn needs(backend: BackendKind, held: &CapsHashSet) -> &'static [Capability] {
    match backend {
        BackendKind::Ebpf if held.contains(&Capability::CAP_SYS_ADMIN) => &[],
        BackendKind::Ebpf => &[Capability::CAP_BPF, Capability::CAP_PERFMON],
        BackendKind::Packet => &[Capability::CAP_NET_RAW],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(capabilities: &[Capability]) -> CapsHashSet {
        capabilities.iter().copied().collect()
    }

    #[test]
    fn a_missing_capability_is_named() {
        let error = check_held(Some(BackendKind::Packet), &held(&[Capability::CAP_BPF])).unwrap_err();
        assert!(error.to_string().starts_with("the packet backend needs CAP_NET_RAW:"), "{error}");
        let error = check_held(Some(BackendKind::Ebpf), &held(&[Capability::CAP_NET_RAW])).unwrap_err();
        assert!(error.to_string().starts_with("the ebpf backend needs CAP_BPF and CAP_PERFMON:"), "{error}");
    }

    #[test]
    fn the_self_test_names_all_that_is_missing_at_once() {
        let error = check_held_for_selftest(Some(BackendKind::Packet), &held(&[Capability::CAP_SETUID])).unwrap_err();
        let told = "the self-test needs CAP_SYS_ADMIN and CAP_NET_ADMIN and CAP_SETGID and CAP_NET_RAW: run it as root";
        assert_eq!(error.to_string(), told);
        let all = held(&[&SELFTEST_NEEDS[..], &[Capability::CAP_NET_RAW]].concat());
        assert_eq!(check_held_for_selftest(Some(BackendKind::Packet), &all), Ok(()));
    }

    #[test]
    fn auto_is_content_with_what_one_backend_needs() {
        for enough in [
            &[Capability::CAP_NET_RAW][..],
            &[Capability::CAP_BPF, Capability::CAP_PERFMON],
            &[Capability::CAP_SYS_ADMIN],
        ] {
            assert_eq!(check_held(None, &held(enough)), Ok(()));
        }
        let error = check_held(None, &held(&[Capability::CAP_BPF])).unwrap_err();
        assert_eq!(error.missing, [Capability::CAP_NET_RAW]);
    }
}
