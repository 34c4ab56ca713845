//! A send request of `io_uring`: the kernel may send from a thread of its own.

use std::io;
use std::net::TcpStream;

use super::super::uring::Ring;

pub(super) struct IoUring(Ring);

impl IoUring {
    pub(super) fn new() -> io::Result<Self> {
        Ring::new().map(Self)
    }
}

impl super::Sender for IoUring {
    fn send(&mut self, socket: &TcpStream, buffer: &[u8]) -> io::Result<usize> {
        self.0.send(socket, buffer)
    }
}
