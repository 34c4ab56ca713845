//! Looking at all connections when a report is due: what takes the place of hooks in the way of each byte.

use std::io;

use std::os::fd::AsRawFd as _;

use aya::maps::{Array, MapData};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use trafcalc_common::maps::STEPS_A_RUN;
use trafcalc_common::maps::adoption::{DONE, FAILED};

use super::modes::{ADOPT, SWEEP};
use super::programs::Programs;
use super::tables::{take, unreadable};
use crate::capture::{CaptureError, EbpfSettings};

/// What has to be known to look at all connections.
pub(super) struct Sweep {
    /// How many slots for connections were ever used, by number 0.
    used: Array<MapData, u64>,
    /// How many there are.
    slots: u64,
}

impl Sweep {
    pub(super) fn of(programs: &mut Programs, settings: &EbpfSettings) -> Result<Self, CaptureError> {
        let slots = u64::try_from(settings.max_connections).unwrap_or(u64::MAX);
        Ok(Self { used: take(programs, "USED_SLOTS")?, slots })
    }

    /// Has every connection credited up to now.
    pub(super) fn run(&self, programs: &mut Programs) -> Result<(), CaptureError> {
        // Those that found none left have counted, too.
        let used = self.used.get(&0, 0).map_err(|error| unreadable(&error))?.min(self.slots);
        let mut firsts = (0..used).step_by(STEPS_A_RUN as usize);
        firsts.try_for_each(|first| programs.run(SWEEP, [first, used]).map(drop))
    }
}

/// Has the connections followed that are older than the programs, which must be attached.
///
/// # Errors
/// The kernel's table of sockets is not where its types say.
pub(super) fn adopt(programs: &mut Programs) -> Result<(), CaptureError> {
    let unreadable = |source| CaptureError::System { what: "reading the kernel's table of TCP sockets", source };
    // Any TCP socket leads to the table.
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|error| unreadable(error.into()))?;
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
