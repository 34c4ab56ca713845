//! Signals that end the program. They are waited for beside keys, so that the terminal is given back first.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Those of which each would end the program with the terminal in the mode for screens.
const SIGNALS: [Signal; 4] = [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT];

/// Where they arrive.
pub(super) struct Endings(SignalFd);

impl Endings {
    /// Has them wait until they are asked for, in this thread and those that it starts from now on.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub(super) fn catch() -> io::Result<Self> {
        let signals: SigSet = SIGNALS.into_iter().collect();
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// The one that has arrived, if any.
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

/// Ends the process by a signal that had arrived, so that who waits for it is told what ended it. Returns where the signal is ignored.
pub(super) fn end_by(signal: Signal) -> io::Result<()> {
    raise(signal)?;
    Ok(SigSet::from(signal).thread_unblock()?)
}
