//! `send`, blocking.

use std::io::{self, Write as _};
use std::net::TcpStream;

pub(super) struct Plain;

impl super::Sender for Plain {
    fn send(&mut self, mut socket: &TcpStream, buffer: &[u8]) -> io::Result<usize> {
        socket.write(buffer)
    }
}
