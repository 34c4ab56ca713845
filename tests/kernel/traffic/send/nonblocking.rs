//! `send` with `MSG_DONTWAIT`: the kernel takes what it has room for.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::{AsFd as _, AsRawFd as _};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};

pub(super) struct Nonblocking;

/// Silence in milliseconds after which a full send buffer is taken to stay full.
const STAYS_FULL_MS: u16 = 300;

impl super::Sender for Nonblocking {
    fn send(&mut self, socket: &TcpStream, buffer: &[u8]) -> io::Result<usize> {
        loop {
            match try_send(socket, buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait(socket, PollTimeout::NONE)?,
                result => return result,
            };
        }
    }
}

/// Sends until the send buffer stays full.
pub(in super::super) fn fill(socket: &TcpStream, count: impl Fn(u64)) -> io::Result<()> {
    let buffer = [0x5a; 10_000];
    loop {
        match try_send(socket, &buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if wait(socket, STAYS_FULL_MS.into())? == 0 {
                    return Ok(());
                }
            }
            result => count(result? as u64),
        }
    }
}

fn try_send(socket: &TcpStream, buffer: &[u8]) -> io::Result<usize> {
    Ok(send(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)?)
}

fn wait(socket: &TcpStream, timeout: PollTimeout) -> io::Result<i32> {
    Ok(poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], timeout)?)
}
