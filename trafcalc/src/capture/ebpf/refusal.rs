//! Names the setting of the host that refuses programs, where the kernel only says that they are not permitted.

use std::fs;

use nix::errno::Errno;

use crate::capture::{Attach, CaptureError};

/// From this level on, opening probes by perf needs `CAP_SYS_ADMIN`: a patch of Debian.
const PARANOID: i32 = 3;

/// The same error, or one that names the setting that caused it.
pub(super) fn named(reason: CaptureError, attach: Attach) -> CaptureError {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (lockdown, paranoid) = (read("/sys/kernel/security/lockdown"), read("/proc/sys/kernel/perf_event_paranoid"));
    let CaptureError::Hook { hook, source } = &reason else { return reason };
    let is_forbidden =
        [Errno::EPERM, Errno::EACCES].map(|errno| errno as i32).map(Some).contains(&source.raw_os_error());
    let why = why(attach, is_forbidden, &lockdown, &paranoid);
    why.map(|why| CaptureError::Refused { hook, why }).unwrap_or(reason)
}

fn why(attach: Attach, is_forbidden: bool, lockdown: &str, paranoid: &str) -> Option<&'static str> {
    // Lockdown removes the helpers that read the kernel's memory, which need not look like a refusal.
    if lockdown.contains("[confidentiality]") {
        return Some(
            "the kernel is locked down (confidentiality), so no program may read its memory; the packet backend works",
        );
    }
    let is_paranoid = paranoid.trim().parse().is_ok_and(|level: i32| level >= PARANOID);
    let is_by_perf = attach == Attach::Kprobe && is_forbidden && is_paranoid;
    is_by_perf.then_some(
        "the sysctl kernel.perf_event_paranoid is 3 or higher, and kprobes need 2 or lower; the other attach modes do not use perf",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refuses_is_named_where_it_does() {
        let locked = "none integrity [confidentiality]\n";
        for attach in [Attach::Fentry, Attach::Kprobe, Attach::Tracepoint] {
            assert!(why(attach, false, locked, "2\n").unwrap().contains("locked down"));
            assert_eq!(why(attach, true, "none [integrity] confidentiality\n", "2\n"), None);
        }
        assert!(why(Attach::Kprobe, true, "", "3\n").unwrap().contains("perf_event_paranoid"));
        assert_eq!(why(Attach::Kprobe, false, "", "3\n"), None, "it failed for another reason");
        assert_eq!(why(Attach::Fentry, true, "", "4\n"), None, "perf has no part in it");
    }
}
