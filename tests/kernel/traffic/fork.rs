//! Children that are this program, as servers fork them, some with a number that was another's before.
#![expect(unsafe_code, reason = "talks to the kernel")]

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

/// `struct clone_args` of linux/sched.h, as it is since Linux 5.5.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

/// Has a child do `work`, with the number `number` if one is given, waits for its end and gives its number. The thread
/// that calls must be the only one that is not waiting.
pub(super) fn child(number: Option<i32>, work: impl FnOnce() -> Result<()>) -> Result<i32> {
    let pid = clone(number).context("cannot fork")?;
    if pid == 0 {
        let result = work();
        if let Err(error) = &result {
            eprintln!("traffic, a child: {error:#}");
        }
        // SAFETY: ends the process, and nothing of the parent's is cleaned up.
        unsafe { libc::_exit(i32::from(result.is_err())) };
    }
    let status = waitpid(Pid::from_raw(pid), None)?;
    ensure!(matches!(status, WaitStatus::Exited(_, 0)), "a child ended with {status:?}");
    Ok(pid)
}

fn clone(number: Option<i32>) -> Result<i32> {
    let exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    let mut arguments = CloneArguments { exit_signal, ..CloneArguments::default() };
    if let Some(number) = &number {
        arguments.set_tid = std::ptr::from_ref(number) as u64;
        arguments.set_tid_size = 1;
    }
    // SAFETY: the arguments live through the call. Without shared memory the child goes on in a copy of this thread; the
    // other threads, which it lacks, hold no lock.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<CloneArguments>()) };
    Ok(i32::try_from(Errno::result(pid)?)?)
}
