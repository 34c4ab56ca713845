//! A receive request of `io_uring`.

use std::io;
use std::net::TcpStream;

use super::super::uring::Ring;

pub(super) struct IoUring(Ring);

impl IoUring {
    pub(super) fn new() -> io::Result<Self> {
        Ring::new().map(Self)
    }
}

impl super::Receiver for IoUring {
    fn receive(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.receive(socket, buffer)
    }
}
