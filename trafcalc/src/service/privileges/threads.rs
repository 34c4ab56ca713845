//! Changes the privileges of every thread. Capabilities, `no_new_privs` and Landlock are attributes of a thread, which only the thread
//! itself can change. A signal makes all threads do so, as the C library does for `setuid`.
#![expect(unsafe_code, reason = "system calls of each thread, made in a signal handler")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use caps::CapsHashSet;

/// How long a thread may take to answer: the longest wait is for a disk.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two checks of that.
const PAUSE: Duration = Duration::from_micros(100);
/// `_LINUX_CAPABILITY_VERSION_3` of include/uapi/linux/capability.h.
const VERSION: u32 = 0x2008_0522;
/// The numbers of capabilities are below this.
const CAPABILITIES: libc::c_ulong = 64;

/// The arguments of the signal handler, which cannot be passed to it. Whether it restricts privileges, or else keeps capabilities over
/// a change of user.
static RESTRICTS: AtomicBool = AtomicBool::new(false);
static KEPT: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
static RULESET: AtomicI32 = AtomicI32::new(-1);
/// How many threads have run the handler.
static DONE: AtomicUsize = AtomicUsize::new(0);
/// The first error, as an errno, and the step it came from.
static ERRNO: AtomicI32 = AtomicI32::new(0);
static STEP: AtomicUsize = AtomicUsize::new(0);

/// The steps, by the numbers that the handler writes.
const STEPS: [&str; 6] = [
    "setting no_new_privs",
    "giving up ambient capabilities",
    "restricting files (Landlock)",
    "giving up capabilities",
    "reading capabilities",
    "keeping capabilities",
];

/// `struct __user_cap_header_struct` and `struct __user_cap_data_struct` of the same file.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Makes every thread keep its permitted capabilities over a change of user (`PR_SET_KEEPCAPS`).
pub(super) fn keep_capabilities() -> Result<(), (&'static str, io::Error)> {
    RESTRICTS.store(false, Ordering::SeqCst);
    in_all()
}

/// Makes every thread keep only the capabilities `kept` of those that it has, gain none by `execve`, and, with a Landlock `ruleset`, be
/// restricted by it. A thread that starts meanwhile inherits the privileges of the thread that started it, so this repeats until there
/// is no new thread.
///
/// # Errors
/// The step that failed, and why; also if a thread does not answer in time.
pub(super) fn restrict(kept: &CapsHashSet, ruleset: Option<BorrowedFd<'_>>) -> Result<(), (&'static str, io::Error)> {
    let bits = kept.iter().fold(0_u64, |bits, capability| bits | capability.bitmask());
    let [low, high] = [bits & u64::from(u32::MAX), bits >> 32].map(|half| u32::try_from(half).unwrap_or_default());
    KEPT[0].store(low, Ordering::SeqCst);
    KEPT[1].store(high, Ordering::SeqCst);
    RULESET.store(ruleset.map_or(-1, |ruleset| ruleset.as_raw_fd()), Ordering::SeqCst);
    RESTRICTS.store(true, Ordering::SeqCst);
    in_all()
}

/// Runs the handler in this thread and in all others.
fn in_all() -> Result<(), (&'static str, io::Error)> {
    ERRNO.store(0, Ordering::SeqCst);
    let signal = libc::SIGRTMAX() - 1;
    let handler: extern "C" fn(libc::c_int) = on_signal;
    handle(signal, handler as libc::sighandler_t).map_err(|error| ("handling a signal", error))?;
    in_this();
    let outcome = in_others(signal).map_err(|error| ("reaching all threads", error));
    // A late signal must not end the process.
    let ignored = handle(signal, libc::SIG_IGN).map_err(|error| ("ignoring a signal", error));
    let errno = ERRNO.load(Ordering::SeqCst);
    if errno != 0 {
        return Err((STEPS[STEP.load(Ordering::SeqCst)], io::Error::from_raw_os_error(errno)));
    }
    outcome.and(ignored)
}

fn in_others(signal: libc::c_int) -> io::Result<()> {
    let mut known = BTreeSet::from([nix::unistd::gettid().as_raw()]);
    loop {
        let new: Vec<_> = tasks()?.difference(&known).copied().collect();
        if new.is_empty() {
            return Ok(());
        }
        for task in new {
            in_other(task, signal)?;
            known.insert(task);
        }
    }
}

fn in_other(task: i32, signal: libc::c_int) -> io::Result<()> {
    let before = DONE.load(Ordering::SeqCst);
    // SAFETY: takes three numbers. The handler is installed.
    if unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), task, signal) } != 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) };
    }
    let deadline = Instant::now() + PATIENCE;
    while DONE.load(Ordering::SeqCst) == before && tasks()?.contains(&task) {
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("thread {task} does not answer")));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// The threads of this process, by the kernel's numbers.
pub(super) fn tasks() -> io::Result<BTreeSet<i32>> {
    let entries = fs::read_dir("/proc/self/task")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn handle(signal: libc::c_int, handler: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: sigaction is plain data for which zeros are valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the pointer is to `action`; the handler makes nothing but system calls and touches nothing but atomics.
    let result = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// May interrupt anything, so it restores `errno`.
extern "C" fn on_signal(_: libc::c_int) {
    // SAFETY: gives the address of the thread's own errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    in_this();
    // SAFETY: as above.
    unsafe { *errno = before };
    DONE.fetch_add(1, Ordering::SeqCst);
}

/// Makes system calls only. Idempotent.
fn in_this() {
    if RESTRICTS.load(Ordering::SeqCst) {
        restrict_this();
    } else {
        // SAFETY: takes numbers.
        note(5, unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) });
    }
}

fn restrict_this() {
    let header = Header { version: VERSION, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: the pointers are to a header and, in this version, two halves of data, which outlive the call.
    note(4, unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) }.try_into().unwrap_or(-1));
    // In a thread that did not change the user itself, they are permitted and not effective.
    let set = |data: [Data; 2]| {
        // SAFETY: as above.
        note(3, unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }.try_into().unwrap_or(-1));
    };
    set(data.map(|half| Data { effective: half.permitted, ..half }));
    // SAFETY: takes numbers.
    note(0, unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) });
    for capability in 0..CAPABILITIES {
        // Without CAP_SETPCAP they stay in the bounding set, which no_new_privs makes useless.
        // SAFETY: takes numbers.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
    // SAFETY: takes numbers.
    note(1, unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) });
    let ruleset = RULESET.load(Ordering::SeqCst);
    if ruleset >= 0 {
        // SAFETY: takes numbers.
        note(2, unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) }.try_into().unwrap_or(-1));
    }
    for (half, kept) in data.iter_mut().zip(&KEPT) {
        let kept = kept.load(Ordering::SeqCst) & half.permitted;
        *half = Data { effective: kept, permitted: kept, inheritable: 0 };
    }
    set(data);
}

fn note(step: usize, result: libc::c_int) {
    // SAFETY: gives the address of the thread's own errno.
    let errno = unsafe { *libc::__errno_location() };
    if result < 0 && ERRNO.compare_exchange(0, errno, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        STEP.store(step, Ordering::SeqCst);
    }
}
