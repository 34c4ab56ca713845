//! Calls that offer more than the kernel has room for, of which it takes a part or nothing.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd as _, AsRawFd as _};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send as send_some, setsockopt, sockopt};

use super::{Scenario, plain_receive, send_by};

pub(super) const SCENARIO: Scenario = Scenario { name: "partial writes", connections: 1, send, receive: plain_receive };

/// The size of the send buffer in bytes; each call offers much more.
const ROOM: usize = 16_384;
const OFFER: usize = 500_000;

fn send(socket: &TcpStream) -> io::Result<u64> {
    setsockopt(socket, sockopt::SndBuf, &ROOM)?;
    send_by(OFFER, |part| {
        loop {
            match send_some(socket.as_raw_fd(), part, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => wait_for_room(socket)?,
                taken => return Ok(taken?),
            }
        }
    })
}

fn wait_for_room(socket: &TcpStream) -> io::Result<()> {
    poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE)?;
    Ok(())
}
