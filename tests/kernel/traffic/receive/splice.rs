//! `splice` into a pipe: the stream's pages move without a `recv`.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::TcpStream;

use nix::fcntl::{SpliceFFlags, splice};

pub(super) struct Splice {
    reader: File,
    writer: File,
}

impl Splice {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = nix::unistd::pipe()?;
        Ok(Self { reader: reader.into(), writer: writer.into() })
    }
}

impl super::Receiver for Splice {
    fn receive(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let received = splice(socket, None, &self.writer, None, buffer.len(), SpliceFFlags::empty())?;
        self.reader.read_exact(&mut buffer[..received])?;
        Ok(received)
    }
}
