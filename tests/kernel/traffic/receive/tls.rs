//! `recv` through kTLS, a record each call: the buffer is as long as the sender's.

use std::io::{self, Read as _};
use std::net::TcpStream;

use anyhow::Result;

use super::super::tls::{self, Direction, OVERHEAD};

pub(super) struct Tls;

impl Tls {
    pub(super) fn new(socket: &TcpStream) -> Result<Self> {
        tls::start(socket, Direction::Receive)?;
        Ok(Self)
    }
}

impl super::Receiver for Tls {
    fn receive(&mut self, mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        socket.read(buffer)
    }

    fn overhead(&self) -> u64 {
        OVERHEAD
    }
}
