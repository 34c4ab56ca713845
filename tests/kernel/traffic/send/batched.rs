//! `sendmmsg` of four messages.

use std::io::{self, IoSliceMut};
use std::net::TcpStream;

use super::super::sys::{Many, many};

pub(super) struct Batched;

impl super::Sender for Batched {
    fn send(&mut self, socket: &TcpStream, buffer: &[u8]) -> io::Result<usize> {
        let mut buffer = buffer.to_vec();
        let part = buffer.len().div_ceil(4);
        let mut parts: Vec<_> = buffer.chunks_mut(part).map(IoSliceMut::new).collect();
        many(Many::Send, socket, &mut parts)
    }
}
