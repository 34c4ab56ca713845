//! `splice` from a pipe.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::TcpStream;

use nix::fcntl::{SpliceFFlags, splice};

/// A pipe, and what is in it.
pub(super) struct Splice {
    reader: File,
    writer: File,
    filled: usize,
}

/// Bytes put into the pipe at once: less than it holds by default (64 KiB), in whole pages.
const PART: usize = 32_768;

impl Splice {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = nix::unistd::pipe()?;
        Ok(Self { reader: reader.into(), writer: writer.into(), filled: 0 })
    }
}

impl super::Sender for Splice {
    fn send(&mut self, socket: &TcpStream, buffer: &[u8]) -> io::Result<usize> {
        if self.filled == 0 {
            self.filled = self.writer.write(&buffer[..buffer.len().min(PART)])?;
        }
        let sent = splice(&self.reader, None, socket, None, self.filled, SpliceFFlags::empty())?;
        self.filled -= sent;
        Ok(sent)
    }
}
