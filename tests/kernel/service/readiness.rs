//! The socket on which a service says that it is ready (`sd_notify(3)`).

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

/// Our end of it.
pub(super) struct Readiness(UnixDatagram);

impl Readiness {
    pub(super) fn new(path: &Path) -> Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        Ok(Self(socket))
    }

    /// Waits a moment for the word.
    pub(super) fn is_ready(&self) -> Result<bool> {
        let mut message = [0; 4096];
        match self.0.recv(&mut message) {
            Ok(length) => Ok(message[..length].split(|&byte| byte == b'\n').any(|line| line == b"READY=1")),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
