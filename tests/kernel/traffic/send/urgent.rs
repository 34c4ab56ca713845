//! `send` with `MSG_OOB`: the last byte of the buffer is urgent.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{MsgFlags, send};

pub(super) struct Urgent;

impl super::Sender for Urgent {
    fn send(&mut self, socket: &TcpStream, buffer: &[u8]) -> io::Result<usize> {
        Ok(send(socket.as_raw_fd(), buffer, MsgFlags::MSG_OOB)?)
    }
}
