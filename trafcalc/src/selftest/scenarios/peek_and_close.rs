//! The receiver peeks at every byte with `MSG_PEEK`, takes none, and closes. The bytes arrived all the same.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use super::{Scenario, TICK};

pub(super) const SCENARIO: Scenario = Scenario { name: "peek and close", connections: 1, send, receive };

/// Few enough for the smallest receive buffer.
const BYTES: usize = 30_003;

fn send(mut socket: &TcpStream) -> io::Result<u64> {
    socket.write_all(&vec![0x5a; BYTES])?;
    // The receiver closes with unread bytes, which sends a reset.
    let _ = socket.read(&mut [0]);
    Ok(BYTES as u64)
}

fn receive(socket: &TcpStream) -> io::Result<u64> {
    let mut buffer = vec![0; BYTES];
    loop {
        let there = socket.peek(&mut buffer)?;
        if there == BYTES {
            return Ok(there as u64);
        }
        thread::sleep(TICK);
    }
}
