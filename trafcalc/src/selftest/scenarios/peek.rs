//! Every byte is peeked at twice with `MSG_PEEK` before it is read.

use std::io::{self, Read as _};
use std::net::TcpStream;

use super::{Scenario, plain_send, receive_by};

pub(super) const SCENARIO: Scenario = Scenario { name: "peek", connections: 1, send: plain_send, receive };

fn receive(mut socket: &TcpStream) -> io::Result<u64> {
    receive_by(|buffer| {
        socket.peek(buffer)?;
        socket.peek(buffer)?;
        socket.read(buffer)
    })
}
