//! Events that the kernel did not deliver to a program.
//!
//! `/proc/self/fdinfo` says how often the kernel skipped a program. For a kprobe, the link's info says how often the probe was hit
//! while another probe was being handled.
#![expect(unsafe_code, reason = "a call of bpf(2) that aya does not make")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// How often the kernel skipped the program behind `fd`: because the program was already running on that CPU or, for a kprobe's program
/// (counted from Linux 6.7 on), because another program or a system call on maps was running there. 0 where the kernel does not say
/// (before Linux 5.12).
pub(super) fn of(fd: BorrowedFd<'_>) -> u64 {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap_or_default();
    parse(&info)
}

/// The id of the program behind `fd`.
pub(super) fn id(fd: BorrowedFd<'_>) -> u32 {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap_or_default();
    let id = info.lines().find_map(|line| line.strip_prefix("prog_id:"));
    id.and_then(|id| id.trim().parse().ok()).unwrap_or(0)
}

/// Opens a program or link that is pinned in a BPF file system; `None` if there is none. Not by aya, which wants to know more of a
/// program than a service without `CAP_SYS_ADMIN` may.
pub(super) fn open(path: &Path) -> Option<OwnedFd> {
    /// `BPF_OBJ_GET`.
    const GET: u32 = 7;
    /// The part of `union bpf_attr` that this command reads.
    #[repr(C)]
    struct Attributes {
        path: u64,
        fd: u32,
        flags: u32,
    }
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let attributes = Attributes { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: the kernel reads `size_of::<Attributes>()` bytes there, and the path, which ends with a zero.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, GET, &raw const attributes, size_of::<Attributes>()) };
    let fd = RawFd::try_from(fd).ok().filter(|&fd| fd >= 0)?;
    // SAFETY: the descriptor is new, and nothing else owns it. The kernel sets close-on-exec.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn parse(info: &str) -> u64 {
    let value = info.lines().find_map(|line| line.strip_prefix("recursion_misses:"));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// How often the kernel missed each kprobe of this process, by the id of its program; empty where the kernel does not say (before Linux
/// 6.7).
pub(super) fn of_probes() -> BTreeMap<u32, u64> {
    links().filter_map(|fd| Link::of(fd)?.missed()).collect()
}

/// The descriptors of links in this process: aya does not expose those of kprobes.
fn links() -> impl Iterator<Item = RawFd> {
    let files = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    files.filter_map(|file| {
        let target = fs::read_link(file.path()).ok()?;
        target.to_str()?.contains("bpf_link").then_some(())?;
        file.file_name().to_str()?.parse().ok()
    })
}

/// The beginning of `struct bpf_link_info` (include/uapi/linux/bpf.h), as far as it is about a kprobe.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Link {
    kind: u32,
    id: u32,
    program: u32,
    unused: u32,
    event: u32,
    unused_event: u32,
    name: u64,
    name_len: u32,
    offset: u32,
    address: u64,
    missed: u64,
    cookie: u64,
}

impl Link {
    /// `BPF_LINK_TYPE_PERF_EVENT`.
    const PERF_EVENT: u32 = 7;
    /// `BPF_PERF_EVENT_KPROBE`.
    const KPROBE: u32 = 3;

    /// The kernel's info about a link; `None` if there is none.
    fn of(fd: RawFd) -> Option<Self> {
        /// `BPF_OBJ_GET_INFO_BY_FD`.
        const GET_INFO: u32 = 15;
        /// The part of `union bpf_attr` that this command reads.
        #[repr(C)]
        struct Attributes {
            fd: u32,
            size: u32,
            info: u64,
        }
        let mut link = Self::default();
        let attributes = Attributes {
            fd: fd.try_into().ok()?,
            size: u32::try_from(size_of::<Self>()).ok()?,
            info: &raw mut link as u64,
        };
        // SAFETY: the kernel reads `size_of::<Attributes>()` bytes there, and writes at most `size` bytes to `link`, which
        // is still there and all of whose bit patterns are valid.
        let failed = unsafe { libc::syscall(libc::SYS_bpf, GET_INFO, &raw const attributes, size_of::<Attributes>()) };
        (failed == 0).then_some(link)
    }

    /// The id of its program and how often it was missed, if the link is a kprobe's.
    fn missed(self) -> Option<(u32, u64)> {
        (self.kind == Self::PERF_EVENT && self.event == Self::KPROBE).then_some((self.program, self.missed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misses_are_read_and_their_absence_is_none() {
        let info =
            "pos:\t0\nflags:\t02000002\nprog_type:\t17\nrun_cnt:\t9\nrecursion_misses:\t41\nverified_insns:\t60\n";
        assert_eq!(parse(info), 41);
        assert_eq!(parse("pos:\t0\nflags:\t02000002\n"), 0);
    }

    /// As `pahole bpf_link_info` shows them.
    #[test]
    fn the_fields_of_a_link_lie_where_the_kernel_has_them() {
        use std::mem::offset_of;
        assert_eq!(offset_of!(Link, program), 8);
        assert_eq!(offset_of!(Link, event), 16);
        assert_eq!(offset_of!(Link, address), 40);
        assert_eq!(offset_of!(Link, missed), 48);
        assert_eq!(size_of::<Link>(), 64);
    }

    #[test]
    fn only_kprobes_are_missed() {
        let kprobe = Link { kind: Link::PERF_EVENT, event: Link::KPROBE, program: 7, missed: 3, ..Link::default() };
        assert_eq!(kprobe.missed(), Some((7, 3)));
        assert_eq!(Link { event: 5, ..kprobe }.missed(), None, "a perf event of another kind");
        assert_eq!(Link { kind: 1, ..kprobe }.missed(), None, "a raw tracepoint");
    }

    #[test]
    fn what_is_no_link_says_nothing() {
        let file = fs::File::open("/proc/self/status").unwrap();
        assert!(Link::of(file.as_raw_fd()).is_none());
    }
}
