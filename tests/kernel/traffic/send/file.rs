//! `sendfile` from a file in memory.

use std::io::{self, Write as _};
use std::net::TcpStream;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::sendfile::sendfile;

pub(super) struct File(std::fs::File);

impl File {
    pub(super) fn new(bytes: usize) -> io::Result<Self> {
        let mut file = std::fs::File::from(memfd_create("traffic", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(&vec![0x5a; bytes])?;
        Ok(Self(file))
    }
}

impl super::Sender for File {
    fn send(&mut self, socket: &TcpStream, buffer: &[u8]) -> io::Result<usize> {
        Ok(sendfile(socket, &self.0, Some(&mut 0), buffer.len())?)
    }
}
