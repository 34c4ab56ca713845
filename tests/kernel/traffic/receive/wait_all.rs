//! `recv` with `MSG_WAITALL`: one call over many segments.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{MsgFlags, recv};

pub(super) struct WaitAll;

impl super::Receiver for WaitAll {
    fn receive(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_WAITALL)?)
    }
}
