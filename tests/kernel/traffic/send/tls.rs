//! `send` through kTLS, a record each call.

use std::io::{self, Write as _};
use std::net::TcpStream;

use anyhow::Result;

use super::super::tls::{self, Direction, OVERHEAD, RECORD};

pub(super) struct Tls;

impl Tls {
    pub(super) fn new(socket: &TcpStream) -> Result<Self> {
        tls::start(socket, Direction::Send)?;
        Ok(Self)
    }
}

impl super::Sender for Tls {
    fn send(&mut self, mut socket: &TcpStream, buffer: &[u8]) -> io::Result<usize> {
        socket.write(&buffer[..buffer.len().min(RECORD)])
    }

    fn overhead(&self) -> u64 {
        OVERHEAD
    }
}
