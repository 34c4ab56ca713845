//! `readv` into three parts.

use std::io::{self, IoSliceMut, Read as _};
use std::net::TcpStream;

pub(super) struct Vectored;

impl super::Receiver for Vectored {
    fn receive(&mut self, mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let (first, rest) = buffer.split_at_mut(buffer.len() / 7);
        let (second, third) = rest.split_at_mut(rest.len() / 3);
        socket.read_vectored(&mut [IoSliceMut::new(first), IoSliceMut::new(second), IoSliceMut::new(third)])
    }
}
