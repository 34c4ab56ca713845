//! `recv`, blocking.

use std::io::{self, Read as _};
use std::net::TcpStream;

pub(super) struct Plain;

impl super::Receiver for Plain {
    fn receive(&mut self, mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        socket.read(buffer)
    }
}
