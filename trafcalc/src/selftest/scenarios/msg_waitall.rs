//! `MSG_WAITALL`: one call takes bytes off the stream many times before it returns.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{MsgFlags, recv};

use super::{Scenario, plain_send, receive_by};

pub(super) const SCENARIO: Scenario = Scenario { name: "MSG_WAITALL", connections: 1, send: plain_send, receive };

fn receive(socket: &TcpStream) -> io::Result<u64> {
    receive_by(|buffer| Ok(recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_WAITALL)?))
}
