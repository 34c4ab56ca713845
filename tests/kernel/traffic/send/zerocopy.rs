//! `send` with `MSG_ZEROCOPY`; the kernel's notes of what it is done with are thrown away.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recvmsg, send};

use super::super::sys;

pub(super) struct Zerocopy;

impl Zerocopy {
    pub(super) fn new(socket: &TcpStream) -> io::Result<Self> {
        sys::set_option(socket, libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1)?;
        Ok(Self)
    }
}

impl super::Sender for Zerocopy {
    fn send(&mut self, socket: &TcpStream, buffer: &[u8]) -> io::Result<usize> {
        let flags = MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY);
        loop {
            match send(socket.as_raw_fd(), buffer, flags) {
                // Too many notes are waiting to be read.
                Err(Errno::ENOBUFS) => read_notes(socket),
                result => return Ok(result?),
            }
        }
    }
}

fn read_notes(socket: &TcpStream) {
    let mut space = [0; 128];
    while recvmsg::<()>(socket.as_raw_fd(), &mut [], Some(&mut space), MsgFlags::MSG_ERRQUEUE).is_ok() {}
}
