//! The kinds of sending and receiving that mislead programs which sum up sizes of calls or packets: one file each.
//!
//! A scenario returns what its system calls returned or, where they cannot know, what the kernel reports about its connection.

mod msg_waitall;
mod partial_writes;
mod peek;
mod peek_and_close;
mod reset;
mod sendfile;
mod short_connections;
mod splice;
mod two_threads;

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// One scenario.
pub(super) struct Scenario {
    /// The name that the user reads.
    pub(super) name: &'static str,
    /// The number of connections, made one after the other.
    pub(super) connections: u32,
    /// What the sender does with each connection; returns the bytes that the kernel accepted.
    pub(super) send: fn(&TcpStream) -> io::Result<u64>,
    /// What the receiver does with each connection, up to the end of the stream; returns the bytes taken off it.
    pub(super) receive: fn(&TcpStream) -> io::Result<u64>,
}

/// All scenarios.
pub(super) const ALL: &[Scenario] = &[
    peek::SCENARIO,
    msg_waitall::SCENARIO,
    partial_writes::SCENARIO,
    sendfile::SCENARIO,
    splice::SCENARIO,
    short_connections::SCENARIO,
    two_threads::SCENARIO,
    peek_and_close::SCENARIO,
    reset::SCENARIO,
];

/// Bytes that a scenario sends: enough for many segments, and few enough for a busy host. Not a round number, so that no limit of a
/// buffer coincides with the end.
const VOLUME: usize = 1_000_003;
/// Size of one call, where it does not matter.
const CHUNK: usize = 30_000;
/// How often a scenario polls what it waits for.
const TICK: Duration = Duration::from_millis(5);

/// Sends [`VOLUME`] bytes by calls of `send`, each of which gets at most `chunk` bytes and returns how many it sent.
fn send_by(chunk: usize, mut send: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<u64> {
    let buffer = vec![0x5a; chunk];
    let mut left = VOLUME;
    while left > 0 {
        left -= send(&buffer[..chunk.min(left)])?;
    }
    Ok(VOLUME as u64)
}

/// Calls `receive`, which returns how many bytes it took, until that is 0.
fn receive_by(mut receive: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut received = 0;
    loop {
        match receive(&mut buffer)? {
            0 => return Ok(received),
            bytes => received += bytes as u64,
        }
    }
}

fn plain_send(mut socket: &TcpStream) -> io::Result<u64> {
    send_by(CHUNK, |part| socket.write(part))
}

fn plain_receive(mut socket: &TcpStream) -> io::Result<u64> {
    receive_by(|buffer| socket.read(buffer))
}
