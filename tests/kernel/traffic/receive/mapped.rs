//! `TCP_ZEROCOPY_RECEIVE`: pages of the receive queue are mapped, and what cannot be mapped is read.

use std::io::{self, Read as _};
use std::net::TcpStream;

use super::super::sys::Mapping;
use super::super::tally;
use super::nonblocking;

pub(super) struct Mapped {
    mapping: Mapping,
    /// Bytes that have to be read before anything can be mapped again.
    unmappable: usize,
    noted: bool,
}

impl Mapped {
    pub(super) fn new(socket: &TcpStream, chunk: usize) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::new(socket, chunk)?, unmappable: 0, noted: false })
    }
}

impl super::Receiver for Mapped {
    fn receive(&mut self, mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unmappable == 0 {
            nonblocking::wait(socket)?;
            let (mapped, unmappable) = match self.mapping.receive(socket, buffer.len()) {
                // So it says that the stream has ended (tcp_zerocopy_receive, 5.10 to 7.2).
                Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(0),
                result => result?,
            };
            self.unmappable = unmappable;
            if mapped > 0 {
                self.note();
                return Ok(mapped);
            }
        }
        // At least one byte, so that the end of the stream is seen.
        let part = self.unmappable.clamp(1, buffer.len());
        let received = socket.read(&mut buffer[..part])?;
        self.unmappable = self.unmappable.saturating_sub(received);
        Ok(received)
    }
}

impl Mapped {
    /// Tells the harness once that the kernel really maps here.
    fn note(&mut self) {
        if !self.noted {
            self.noted = true;
            tally::say("mapped");
        }
    }
}
