//! Runs the programs that look at all connections before a report, that adopt older connections, and that take over streams.
#![expect(unsafe_code, reason = "membarrier has no safe wrapper")]

use std::io;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use trafcalc_common::maps::adoption::{ASK, BEGIN, DONE, END, FAILED, WALK};
use trafcalc_common::maps::{NOT_ACTING, STEPS_A_RUN};

use super::hooks::{ADOPT, SWEEP, TAKE_OVER};
use super::programs::Programs;
use super::sizes;
use crate::capture::{CaptureError, EbpfSettings};

/// Words of the bitmap per run: 128 of them are 32,768 places, which take the kernel some milliseconds.
const WORDS_A_RUN: u32 = 128;

/// Credits every connection up to now; with `is_last` also those for which it is too early to know the owner.
pub(super) fn run(programs: &mut Programs, settings: &EbpfSettings, is_last: bool) -> Result<(), CaptureError> {
    let words = sizes::words(settings);
    let mut firsts = (0..words).step_by(WORDS_A_RUN as usize);
    firsts.try_for_each(|first| {
        let end = words.min(first + WORDS_A_RUN);
        programs.run(SWEEP, [first.into(), end.into(), is_last.into()]).map(drop)
    })
}

/// Has the programs note the ends that they see until older connections are adopted.
pub(super) fn begin_adopting(programs: &mut Programs) -> Result<(), CaptureError> {
    programs.run(ADOPT, [0, 0, BEGIN.into()]).map(drop)
}

/// Adopts older connections if a former process was killed before it had adopted all.
pub(super) fn finish_adopting(programs: &mut Programs) -> Result<(), CaptureError> {
    if programs.run(ADOPT, [0, 0, ASK.into()])? == 0 { Ok(()) } else { adopt(programs) }
}

/// Adopts the connections that are older than the programs, which must be attached.
///
/// # Errors
/// The kernel's table of sockets is not where its types say.
pub(super) fn adopt(programs: &mut Programs) -> Result<(), CaptureError> {
    let unreadable = |source| CaptureError::System { what: "reading the kernel's table of TCP sockets", source };
    // Any socket leads to the table through its network namespace, even one that a sandbox without network allows.
    let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|error| unreadable(error.into()))?;
    let descriptor = u64::try_from(socket.as_raw_fd()).unwrap_or_default();
    begin_adopting(programs)?;
    let_events_end();
    let mut list = 0;
    loop {
        match programs.run(ADOPT, [descriptor, list.into(), WALK.into()])? {
            DONE => return programs.run(ADOPT, [0, 0, END.into()]).map(drop),
            FAILED => return Err(unreadable(io::ErrorKind::InvalidData.into())),
            next if next <= list => return Err(unreadable(io::ErrorKind::InvalidData.into())),
            next => list = next,
        }
    }
}

/// Waits until events that began before the programs were told to note ends are over. After that, a socket that ends either has its new
/// state, or a program notes its end. Where the kernel cannot wait for that, the stream of a connection that just ends may be left
/// over.
fn let_events_end() {
    // SAFETY: takes and touches no pointers.
    let _ = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
}

/// Takes over the streams of a former generation with 2 to the power of `bits` buckets. Returns how many are left: those of connections
/// whose handshake is not over.
pub(super) fn take_over(programs: &mut Programs, bits: u32) -> Result<u32, CaptureError> {
    let buckets = 1_u32 << bits;
    let mut left = 0;
    for first in (0..buckets).step_by(STEPS_A_RUN as usize) {
        let end = buckets.min(first + STEPS_A_RUN);
        left += match programs.run(TAKE_OVER, [first.into(), end.into(), 0])? {
            NOT_ACTING => 0,
            left => left,
        };
    }
    Ok(left)
}
