//! Ways of reading: one file each. A way is one system call (or what takes the bytes of one) that returns how many
//! bytes left the stream.

mod batched;
mod io_uring;
mod low_water;
mod mapped;
mod nonblocking;
mod peek;
mod plain;
mod quick_ack;
mod splice;
mod tls;
mod truncated;
mod urgent;
mod vectored;
mod wait_all;

use std::io::{self, ErrorKind};
use std::net::TcpStream;

use anyhow::{Result, bail};

use super::spec::Receiving;

/// A way of reading.
trait Receiver {
    /// One call; how many bytes left the stream. 0 is its end.
    fn receive(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize>;

    /// How many bytes of payload a call takes besides those it returns.
    fn overhead(&self) -> u64 {
        0
    }
}

fn open(how: Receiving, socket: &TcpStream, chunk: usize) -> Result<Box<dyn Receiver>> {
    Ok(match how {
        Receiving::Plain => Box::new(plain::Plain),
        Receiving::Nonblocking => Box::new(nonblocking::Nonblocking),
        Receiving::WaitAll => Box::new(wait_all::WaitAll),
        Receiving::LowWater => Box::new(low_water::LowWater::new(socket, chunk)?),
        Receiving::Peek => Box::new(peek::Peek),
        Receiving::Truncated => Box::new(truncated::Truncated),
        Receiving::QuickAck => Box::new(quick_ack::QuickAck),
        Receiving::Vectored => Box::new(vectored::Vectored),
        Receiving::Batched => Box::new(batched::Batched),
        Receiving::Splice => Box::new(splice::Splice::new()?),
        Receiving::Mapped => Box::new(mapped::Mapped::new(socket, chunk)?),
        Receiving::Urgent => Box::new(urgent::Urgent),
        Receiving::IoUring => Box::new(io_uring::IoUring::new()?),
        Receiving::Tls => Box::new(tls::Tls::new(socket)?),
    })
}

/// Reads `bytes`, or to the end, in calls of at most `chunk` bytes, and hands the payload each call took to `count`.
pub(super) fn receive(
    how: Receiving,
    socket: &TcpStream,
    bytes: Option<u64>,
    chunk: usize,
    count: impl Fn(u64),
) -> Result<()> {
    let mut way = open(how, socket, chunk)?;
    let mut buffer = vec![0; chunk];
    let mut left = bytes.unwrap_or(u64::MAX);
    while left > 0 {
        let part = &mut buffer[..chunk.min(usize::try_from(left)?)];
        match (way.receive(socket, part), bytes) {
            (Err(error), None) if error.kind() == ErrorKind::ConnectionReset => break,
            (Ok(0), None) => break,
            (Ok(0), Some(_)) => bail!("the stream ended {left} bytes early"),
            (received, _) => {
                let received = received? as u64;
                count(received + way.overhead());
                left -= received;
            }
        }
    }
    Ok(())
}
