//! `recv` with `MSG_OOB`: the urgent byte, once it is there.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd as _, AsRawFd as _};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};

pub(super) struct Urgent;

impl super::Receiver for Urgent {
    fn receive(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLPRI)], PollTimeout::NONE)?;
        Ok(recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_OOB)?)
    }
}
