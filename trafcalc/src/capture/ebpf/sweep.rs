//! Looking at all connections when a report is due: what takes the place of hooks in the way of each byte.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;

use super::modes::{ADOPT, SWEEP};
use super::programs::Programs;
use crate::capture::CaptureError;

/// What [`ADOPT`] gives when it is done, and when it could not read the kernel's table of sockets.
const DONE: u32 = u32::MAX;
const FAILED: u32 = u32::MAX - 1;

/// Has every connection credited up to now.
pub(super) fn sweep(programs: &mut Programs) -> Result<(), CaptureError> {
    programs.run(SWEEP, [0; 2]).map(drop)
}

/// Has the connections followed that are older than the programs, which must be attached.
///
/// # Errors
/// The kernel's table of sockets is not where its types say.
pub(super) fn adopt(programs: &mut Programs) -> Result<(), CaptureError> {
    let unreadable = |source| CaptureError::System { what: "reading the kernel's table of TCP sockets", source };
    // Any TCP socket leads to the table.
    let socket = TcpListener::bind(("127.0.0.1", 0)).map_err(unreadable)?;
    let descriptor = u64::try_from(socket.as_raw_fd()).unwrap_or_default();
    let mut list = 0;
    loop {
        match programs.run(ADOPT, [descriptor, list.into()])? {
            DONE => return Ok(()),
            FAILED => return Err(unreadable(io::ErrorKind::InvalidData.into())),
            next if next <= list => return Err(unreadable(io::ErrorKind::InvalidData.into())),
            next => list = next,
        }
    }
}
