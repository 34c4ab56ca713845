//! The socket on which a service says that it is ready, and hands over descriptors to be kept (`sd_notify(3)`).

use std::io::IoSliceMut;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use super::store::Store;

/// Our end of it.
pub(super) struct Readiness {
    socket: UnixDatagram,
    store: Store,
}

impl Readiness {
    /// Descriptors are kept in `store`.
    pub(super) fn new(path: &Path, store: Store) -> Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        Ok(Self { socket, store })
    }

    /// Waits a moment for the word.
    pub(super) fn is_ready(&self) -> Result<bool> {
        let mut message = [0; 4096];
        let mut room = nix::cmsg_space!(i32);
        let mut parts = [IoSliceMut::new(&mut message)];
        let received = recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut room), MsgFlags::MSG_CMSG_CLOEXEC);
        let (length, descriptors) = match received {
            Ok(received) => {
                let rights = |message| match message {
                    ControlMessageOwned::ScmRights(descriptors) => descriptors,
                    _ => Vec::new(),
                };
                (received.bytes, received.cmsgs()?.flat_map(rights).collect::<Vec<_>>())
            }
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let lines: Vec<_> = message[..length].split(|&byte| byte == b'\n').collect();
        self.store.note(&lines, &descriptors);
        Ok(lines.contains(&&b"READY=1"[..]))
    }
}
