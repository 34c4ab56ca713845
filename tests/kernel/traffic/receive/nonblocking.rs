//! `recv` with `MSG_DONTWAIT`, and `poll` when there is nothing.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd as _, AsRawFd as _};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};

pub(super) struct Nonblocking;

impl super::Receiver for Nonblocking {
    fn receive(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => wait(socket)?,
                result => return Ok(result?),
            }
        }
    }
}

/// Waits until there is something to read.
pub(super) fn wait(socket: &TcpStream) -> io::Result<()> {
    poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
    Ok(())
}
