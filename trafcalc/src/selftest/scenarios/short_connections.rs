//! Connections that end soon after they began.

use std::io::{self, Write as _};
use std::net::TcpStream;

use super::{Scenario, plain_receive};

pub(super) const SCENARIO: Scenario =
    Scenario { name: "short connections", connections: 50, send, receive: plain_receive };

const BYTES: usize = 10_007;

fn send(mut socket: &TcpStream) -> io::Result<u64> {
    socket.write_all(&[0x5a; BYTES])?;
    Ok(BYTES as u64)
}
