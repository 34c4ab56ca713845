//! Signals that end the program. It polls for them and for keys, so that it can restore the terminal first.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Each of them would end the program and leave the terminal in screen mode.
const SIGNALS: [Signal; 4] = [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT];

/// Where the signals arrive.
pub(super) struct Endings(SignalFd);

impl Endings {
    /// Blocks the signals until they are read, in this thread and those that it starts from now on.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub(super) fn catch() -> io::Result<Self> {
        let signals: SigSet = SIGNALS.into_iter().collect();
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// A signal that has arrived, if any.
    pub(super) fn arrived(&self) -> Option<Signal> {
        let arrived = self.0.read_signal().ok().flatten()?;
        Signal::try_from(i32::try_from(arrived.ssi_signo).ok()?).ok()
    }
}

impl AsFd for Endings {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Ends the process by a signal that arrived, so that its parent learns what ended it. Returns if the signal is
/// ignored.
pub(super) fn end_by(signal: Signal) -> io::Result<()> {
    raise(signal)?;
    Ok(SigSet::from(signal).thread_unblock()?)
}
