//! `writev` of three parts.

use std::io::{self, IoSlice, Write as _};
use std::net::TcpStream;

pub(super) struct Vectored;

impl super::Sender for Vectored {
    fn send(&mut self, mut socket: &TcpStream, buffer: &[u8]) -> io::Result<usize> {
        let (first, rest) = buffer.split_at(buffer.len() / 7);
        let (second, third) = rest.split_at(rest.len() / 3);
        socket.write_vectored(&[IoSlice::new(first), IoSlice::new(second), IoSlice::new(third)])
    }
}
