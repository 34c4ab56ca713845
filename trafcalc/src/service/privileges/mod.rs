//! Privileges: checks that those needed for counting are there, before anything is touched; changes to the user of the service; and
//! gives up everything once it counts.

mod account;
mod handover;
mod probes;
mod run_as;
mod sandbox;
mod syscalls;
mod threads;
mod write_access;

use caps::{CapSet, Capability, CapsHashSet};

use crate::capture::BackendKind;

pub use handover::{Written, share_log};
pub use run_as::{RunAs, Standing, become_user};
pub use sandbox::{Cap, DropError, Plan, drop};
pub use syscalls::FilterError;

/// The missing capabilities of each allowed backend.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: run it as root, or from its systemd unit, which grants them", sentence(.0))]
pub struct MissingPrivilege(pub Vec<Missing>);

/// A backend and the capabilities that it lacks.
pub type Missing = (BackendKind, Vec<Capability>);

fn sentence(backends: &[Missing]) -> String {
    let needs = |(backend, missing): &Missing| format!("the {} backend needs {}", backend.name(), join(missing));
    backends.iter().map(needs).collect::<Vec<_>>().join(", or ")
}

fn join(capabilities: &[Capability]) -> String {
    capabilities.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// Checks that `backend`, or any backend if none is asked for, has the capabilities that it needs.
///
/// If capabilities cannot be read, the check passes, and the kernel reports an error later.
pub fn check(backend: Option<BackendKind>) -> Result<(), MissingPrivilege> {
    caps::read(None, CapSet::Effective).map_or(Ok(()), |held| check_held(backend, &held))
}

/// Capabilities for the self-test are missing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the self-test needs {}: run it as root", join(.missing))]
pub struct SelftestPrivilege {
    /// The missing capabilities.
    pub missing: Vec<Capability>,
}

/// For a network namespace (`CAP_SYS_ADMIN`), its loopback device (`CAP_NET_ADMIN`), and programs that run as other users.
const SELFTEST_NEEDS: [Capability; 4] =
    [Capability::CAP_SYS_ADMIN, Capability::CAP_NET_ADMIN, Capability::CAP_SETUID, Capability::CAP_SETGID];

/// Checks that the self-test of `backend`, or of any backend if none is asked for, has the capabilities that it needs.
pub fn check_for_selftest(backend: Option<BackendKind>) -> Result<(), SelftestPrivilege> {
    caps::read(None, CapSet::Effective).map_or(Ok(()), |held| check_held_for_selftest(backend, &held))
}

fn check_held_for_selftest(backend: Option<BackendKind>, held: &CapsHashSet) -> Result<(), SelftestPrivilege> {
    let own = SELFTEST_NEEDS.into_iter().filter(|needed| !held.contains(needed));
    // What the last backend needs is enough.
    let counting = check_held(backend, held).err().and_then(|mut error| error.0.pop());
    let missing: Vec<_> = own.chain(counting.into_iter().flat_map(|(_, missing)| missing)).collect();
    if missing.is_empty() { Ok(()) } else { Err(SelftestPrivilege { missing }) }
}

fn check_held(backend: Option<BackendKind>, held: &CapsHashSet) -> Result<(), MissingPrivilege> {
    let allowed = [BackendKind::Ebpf, BackendKind::Packet];
    let allowed = allowed.into_iter().filter(|allowed| backend.is_none_or(|backend| backend == *allowed));
    let lacking: Vec<Missing> = allowed.map(|backend| (backend, missing(backend, held))).collect();
    if lacking.iter().any(|(_, missing)| missing.is_empty()) { Ok(()) } else { Err(MissingPrivilege(lacking)) }
}

fn missing(backend: BackendKind, held: &CapsHashSet) -> Vec<Capability> {
    needs(backend, held).iter().copied().filter(|needed| !held.contains(needed)).collect()
}

/// bpf(2): since Linux 5.8 `CAP_BPF` and `CAP_PERFMON` suffice; `CAP_SYS_ADMIN` suffices on every kernel. packet(7): `CAP_NET_RAW`.
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
        let told = "the ebpf backend needs CAP_PERFMON, or the packet backend needs CAP_NET_RAW: run it";
        assert!(error.to_string().starts_with(told), "{error}");
    }
}
