//! A network namespace that has only a loopback device, for one thread and the processes that it starts. It ends with them.
#![expect(unsafe_code, reason = "an interface's flags have no safe wrapper")]

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::SelftestError;

/// How long the kernel may take to close the last connections, which is one round trip over loopback.
const CLOSING: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(5);

/// Runs `work` in a new namespace, on a thread of its own.
pub(super) fn inside<T: Send>(work: impl FnOnce() -> Result<T, SelftestError> + Send) -> Result<T, SelftestError> {
    let enter_and_work = || {
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|errno| SelftestError::step("making a network namespace")(errno.into()))?;
        loopback_up().map_err(SelftestError::step("making loopback work"))?;
        work()
    };
    thread::scope(|scope| scope.spawn(enter_and_work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

fn loopback_up() -> io::Result<()> {
    let socket: OwnedFd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: ifreq is plain data for which zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, &from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).expect("small constants");
    // SAFETY: the pointer is to `request`, which outlives the call and is what this request takes.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits until no TCP connection in the calling thread's namespace is open or closing.
pub(super) fn wait_until_closed() -> Result<(), SelftestError> {
    let step = SelftestError::step("waiting for the end of the connections");
    let deadline = Instant::now() + CLOSING;
    loop {
        let table = std::fs::read_to_string("/proc/thread-self/net/tcp").map_err(&step)?;
        if !table.lines().skip(1).any(is_busy) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(step(io::ErrorKind::TimedOut.into()));
        }
        thread::sleep(PAUSE);
    }
}

/// Whether a row of `/proc/net/tcp` is neither in `TIME_WAIT` (06) nor in LISTEN (0A).
fn is_busy(row: &str) -> bool {
    row.split_whitespace().nth(3).is_some_and(|state| !matches!(state, "06" | "0A"))
}
