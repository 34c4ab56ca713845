//! Ways of sending: one file each. A way is one system call that returns how many bytes the kernel took.

mod batched;
mod file;
mod io_uring;
mod nonblocking;
mod plain;
mod splice;
mod tls;
mod urgent;
mod vectored;
mod zerocopy;

use std::io::{self, ErrorKind};
use std::net::TcpStream;

use anyhow::Result;

use super::spec::Sending;

pub(super) use nonblocking::fill;

/// A way of sending.
trait Sender {
    /// One call; how many bytes of `buffer` the kernel took.
    fn send(&mut self, socket: &TcpStream, buffer: &[u8]) -> io::Result<usize>;

    /// How many bytes of payload each call adds to those of `buffer`.
    fn overhead(&self) -> u64 {
        0
    }
}

fn open(how: Sending, socket: &TcpStream, chunk: usize) -> Result<Box<dyn Sender>> {
    Ok(match how {
        Sending::Plain => Box::new(plain::Plain),
        Sending::Nonblocking => Box::new(nonblocking::Nonblocking),
        Sending::Vectored => Box::new(vectored::Vectored),
        Sending::Batched => Box::new(batched::Batched),
        Sending::File => Box::new(file::File::new(chunk)?),
        Sending::Splice => Box::new(splice::Splice::new()?),
        Sending::Zerocopy => Box::new(zerocopy::Zerocopy::new(socket)?),
        Sending::Urgent => Box::new(urgent::Urgent),
        Sending::IoUring => Box::new(io_uring::IoUring::new()?),
        Sending::Tls => Box::new(tls::Tls::new(socket)?),
    })
}

/// Sends `bytes` unless the connection breaks before.
pub(super) fn offer(socket: &TcpStream, bytes: u64, chunk: usize, count: impl Fn(u64)) -> Result<()> {
    match send(Sending::Plain, socket, bytes, chunk, count) {
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(is_broken) => Ok(()),
        result => result,
    }
}

fn is_broken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected | ErrorKind::TimedOut
    )
}

/// Sends `bytes` in calls of at most `chunk` bytes and hands the payload of each call to `count`.
pub(super) fn send(how: Sending, socket: &TcpStream, bytes: u64, chunk: usize, count: impl Fn(u64)) -> Result<()> {
    let mut way = open(how, socket, chunk)?;
    let buffer = vec![0x5a; chunk];
    let mut left = bytes;
    while left > 0 {
        let part = &buffer[..chunk.min(usize::try_from(left)?)];
        let sent = way.send(socket, part)? as u64;
        count(sent + way.overhead());
        left -= sent;
    }
    Ok(())
}
