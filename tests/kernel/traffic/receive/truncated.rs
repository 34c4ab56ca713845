//! `recv` with `MSG_TRUNC`: the bytes are taken and not copied.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{MsgFlags, recv};

pub(super) struct Truncated;

impl super::Receiver for Truncated {
    fn receive(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC)?)
    }
}
