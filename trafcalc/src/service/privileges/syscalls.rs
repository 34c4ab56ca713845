//! The system calls that the service makes once it counts, as a seccomp filter: an attacker who takes over the process can make no
//! others. Other calls fail with `EPERM`.
//!
//! The list includes the calls that system libraries make when they look up names (NSS): they may ask other processes or the network.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::probes::why;
use crate::capture::BackendKind;

/// Calls that are allowed with any arguments.
const PLAIN: &[libc::c_long] = &[
    // Files.
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_umask,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    libc::SYS_memfd_create,
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_setitimer,
    libc::SYS_getitimer,
    libc::SYS_restart_syscall,
    // Existing sockets, and connections to other processes.
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_accept,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_msync,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_brk,
    libc::SYS_membarrier,
    libc::SYS_getrandom,
    // Threads and signals.
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_setscheduler,
    libc::SYS_getpriority,
    libc::SYS_setpriority,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_wait4,
    libc::SYS_prctl,
    libc::SYS_capget,
    libc::SYS_capset,
    // Information about the process and the host.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_prlimit64,
    libc::SYS_getcpu,
    libc::SYS_uname,
    libc::SYS_sysinfo,
];

/// Older calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getdents,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_inotify_init,
    libc::SYS_alarm,
    libc::SYS_time,
    libc::SYS_arch_prctl,
    libc::SYS_getpgrp,
    libc::SYS_getrlimit,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[];

/// Commands of bpf(2) on loaded maps and programs, from include/uapi/linux/bpf.h: look-up, update, delete, next key, test run, object
/// info, look-up and delete, and batches of look-up, look-up and delete, and update.
const BPF_COMMANDS: [u64; 10] = [1, 2, 3, 4, 10, 15, 21, 24, 25, 26];

/// `CLONE_NEWNS`, `_NEWCGROUP`, `_NEWUTS`, `_NEWIPC`, `_NEWUSER`, `_NEWPID` and `_NEWNET`.
const NEW_NAMESPACES: u64 = 0x7e02_0000;
/// The type of a socket without its flags.
const SOCKET_TYPE: u64 = 0xf;
/// `TIOCSTI` puts characters into the input of a terminal.
const TIOCSTI: u64 = 0x5412;
/// `TIOCLINUX` can do so on a console.
const TIOCLINUX: u64 = 0x541c;

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The filter cannot be built.
    #[error("the filter of system calls cannot be made: {0}")]
    Make(#[from] seccompiler::BackendError),
    /// The kernel refuses the filter.
    #[error("the filter of system calls cannot be installed: {0}")]
    Install(#[from] seccompiler::Error),
}

/// Makes the kernel refuse all other calls, for all threads. Returns the reason if there is no filter: some kernels are built without
/// seccomp, and a sandbox around the service may refuse it.
pub(super) fn filter(backend: BackendKind) -> Result<Option<&'static str>, FilterError> {
    if !is_known() {
        return Ok(Some(why(libc::ENOSYS)));
    }
    // Without `clone3` the C library uses `clone`, whose flags a filter can check.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let filters = [
        (clone3, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.cast_unsigned())),
        (rules(backend)?, SeccompAction::Errno(libc::EPERM.cast_unsigned()), SeccompAction::Allow),
    ];
    for (rules, others, those) in filters {
        match install(rules, others, those) {
            Err(FilterError::Install(seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error))) => {
                return Ok(Some(why(error.raw_os_error().unwrap_or_default())));
            }
            result => result?,
        }
    }
    Ok(None)
}

fn install(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    others: SeccompAction,
    those: SeccompAction,
) -> Result<(), FilterError> {
    let filter = SeccompFilter::new(rules, others, those, std::env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter_all_threads(&program)?)
}

/// Whether the kernel has seccomp: otherwise it knows no such option.
fn is_known() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nSeccomp:"))
}

/// The allowed calls and their allowed arguments; an empty list allows any.
fn rules(backend: BackendKind) -> Result<BTreeMap<i64, Vec<SeccompRule>>, FilterError> {
    let mut rules: BTreeMap<_, _> = PLAIN.iter().chain(OLDER).map(|&call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_socket, sockets()?);
    if backend == BackendKind::Ebpf {
        let bpf = BPF_COMMANDS.map(|command| Ok(SeccompRule::new(vec![is(0, command)?])?));
        rules.insert(libc::SYS_bpf, bpf.into_iter().collect::<Result<_, FilterError>>()?);
    }
    let no_namespace = condition(0, SeccompCmpOp::MaskedEq(NEW_NAMESPACES), 0)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![no_namespace])?]);
    let not = |request| condition(1, SeccompCmpOp::Ne, request);
    rules.insert(libc::SYS_ioctl, vec![SeccompRule::new(vec![not(TIOCSTI)?, not(TIOCLINUX)?])?]);
    Ok(rules)
}

/// The allowed sockets: local ones, and those that need no privilege: internet streams and datagrams, and netlink.
fn sockets() -> Result<Vec<SeccompRule>, FilterError> {
    let mut rules = Vec::new();
    for domain in [libc::AF_UNIX, libc::AF_NETLINK] {
        rules.push(SeccompRule::new(vec![is(0, number(domain))?])?);
    }
    for domain in [libc::AF_INET, libc::AF_INET6] {
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            let is_kind = condition(1, SeccompCmpOp::MaskedEq(SOCKET_TYPE), number(kind))?;
            rules.push(SeccompRule::new(vec![is(0, number(domain))?, is_kind])?);
        }
    }
    Ok(rules)
}

fn is(argument: u8, value: u64) -> Result<SeccompCondition, FilterError> {
    condition(argument, SeccompCmpOp::Eq, value)
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, FilterError> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?)
}

fn number(constant: libc::c_int) -> u64 {
    u64::from(constant.cast_unsigned())
}
