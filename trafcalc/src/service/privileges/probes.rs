//! Finds out by trying what this kernel has and allows.
#![expect(unsafe_code, reason = "system calls that no crate makes")]

use std::fs;
use std::io;
use std::thread;

/// Whether this kernel refuses map look-ups without `CAP_BPF`, or may do so later: kernels before Linux 5.19 refuse them if
/// `kernel.unprivileged_bpf_disabled` is set, and an administrator can set that at any time.
pub(super) fn is_bpf_gated() -> bool {
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    is_refused() || may_be_gated(&release.unwrap_or_default(), fs::read_to_string(UNPRIVILEGED))
}

/// The file of this sysctl.
const UNPRIVILEGED: &str = "/proc/sys/kernel/unprivileged_bpf_disabled";

/// Whether a kernel of this release, which refuses nothing now, may do so once the sysctl is set. If it is set already, the trial has
/// decided: some older kernels have the check of Linux 5.19.
fn may_be_gated(release: &str, sysctl: io::Result<String>) -> bool {
    match sysctl {
        Ok(value) if value.trim() != "0" => false,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        _ => {
            let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(str::parse::<u32>);
            let mut number = || numbers.next().and_then(Result::ok).unwrap_or_default();
            (number(), number()) < (5, 19)
        }
    }
}

/// Whether this kernel refuses look-ups now. Tried by a thread without capabilities.
fn is_refused() -> bool {
    let tried = thread::spawn(|| {
        let cleared = caps::clear(None, caps::CapSet::Effective);
        cleared.is_ok() && look_up_nothing() == Some(libc::EPERM)
    });
    tried.join().unwrap_or(true)
}

/// The error of a look-up in a map that does not exist: `EBADF` where look-ups are allowed.
fn look_up_nothing() -> Option<i32> {
    /// `BPF_MAP_LOOKUP_ELEM`.
    const LOOK_UP: u32 = 1;
    /// The part of `union bpf_attr` that this command reads.
    #[repr(C)]
    struct Attributes {
        map: i32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let attributes = Attributes { map: -1, key: 0, value: 0, flags: 0 };
    // SAFETY: the kernel reads `size_of::<Attributes>()` bytes there, and nothing else, as there is no such map.
    let result = unsafe { libc::syscall(libc::SYS_bpf, LOOK_UP, &raw const attributes, size_of::<Attributes>()) };
    (result < 0).then(|| io::Error::last_os_error().raw_os_error()).flatten()
}

/// Why there is no Landlock; `None` if there is.
pub(super) fn lack_of_landlock() -> Option<&'static str> {
    /// `LANDLOCK_CREATE_RULESET_VERSION` of include/uapi/linux/landlock.h: returns the version, and creates nothing.
    const VERSION: u32 = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the kernel takes no attributes.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, VERSION) };
    (version < 0).then(|| why(io::Error::last_os_error().raw_os_error().unwrap_or_default()))
}

/// What the error of a system call says about the kernel.
pub(super) const fn why(errno: i32) -> &'static str {
    match errno {
        libc::ENOSYS | libc::EINVAL => "which this kernel has not",
        libc::EOPNOTSUPP => "which was not enabled when this host was started",
        _ => "which a sandbox around this service refuses",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_kernel_may_begin_to_refuse_look_ups() {
        let may = |release, value: &str| may_be_gated(release, Ok(format!("{value}\n")));
        assert!(may("5.18.19-generic", "0") && may("5.15.0-91-generic", "0") && may("4.18.0-553.el8", "0"));
        assert!(!may("5.19.0", "0") && !may("6.1.0-18-amd64", "0") && !may("10.0", "0"));
        assert!(!may("5.15.0", "1") && !may("5.15.0", "2"), "the trial has told");
        let failed = |kind: io::ErrorKind| may_be_gated("5.15.0", Err(kind.into()));
        assert!(!failed(io::ErrorKind::NotFound), "nobody can set it");
        assert!(failed(io::ErrorKind::PermissionDenied));
    }

    #[test]
    fn the_kernel_is_not_blamed_for_what_a_sandbox_refuses() {
        assert_eq!(why(libc::ENOSYS), "which this kernel has not");
        assert_eq!(why(libc::EOPNOTSUPP), "which was not enabled when this host was started");
        for errno in [libc::EPERM, libc::EACCES] {
            assert_eq!(why(errno), "which a sandbox around this service refuses");
        }
    }
}
