//! Two looks with `MSG_PEEK`, then the read that takes the bytes.

use std::io::{self, Read as _};
use std::net::TcpStream;

pub(super) struct Peek;

impl super::Receiver for Peek {
    fn receive(&mut self, mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        socket.peek(buffer)?;
        socket.peek(buffer)?;
        socket.read(buffer)
    }
}
