//! `recvmmsg` of four messages.

use std::io::{self, IoSliceMut};
use std::net::TcpStream;

use super::super::sys::{Many, many};

pub(super) struct Batched;

impl super::Receiver for Batched {
    fn receive(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let part = buffer.len().div_ceil(4);
        let mut parts: Vec<_> = buffer.chunks_mut(part).map(IoSliceMut::new).collect();
        many(Many::Receive, socket, &mut parts)
    }
}
