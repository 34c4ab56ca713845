//! The receiving end, which can read in ways that mislead programs which sum call sizes.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;

use anyhow::Result;
use clap::ValueEnum;
use nix::sys::socket::{MsgFlags, recv};

use super::{Connections, Work};

/// How it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reading {
    Plain,
    /// Each call waits until its buffer is full.
    WaitAll,
    /// Peeks at the bytes before it reads them.
    Peek,
}

impl Reading {
    /// The value of the option.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::WaitAll => "wait-all",
            Self::Peek => "peek",
        }
    }

    fn read(self, mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain => stream.read(buffer),
            Self::WaitAll => Ok(recv(stream.as_raw_fd(), buffer, MsgFlags::MSG_WAITALL)?),
            Self::Peek => {
                let seen = stream.peek(buffer)?;
                stream.read(&mut buffer[..seen])
            }
        }
    }
}

/// The size of the read buffer. `MSG_WAITALL` misleads only when the call has to wait, so it asks for more than a
/// kernel buffer holds.
const fn buffer_size(reading: Reading) -> usize {
    match reading {
        Reading::WaitAll => 20_000_000,
        Reading::Plain | Reading::Peek => 1 << 18,
    }
}

pub(super) fn one_after_the_other(connections: &mut Connections<'_>, work: &Work) -> Result<u64> {
    let mut buffer = vec![0; buffer_size(work.reading)];
    let mut sum = 0;
    while let Some(mut stream) = connections.next()? {
        if work.is_answered {
            sum += answer(&mut stream, work.bytes, &mut buffer)?;
        }
        sum += read_all(&stream, work.reading, &mut buffer)?;
    }
    Ok(sum)
}

/// Opens all connections, then reads each to its end.
pub(super) fn all_at_once(connections: &mut Connections<'_>, work: &Work) -> Result<u64> {
    let mut streams = Vec::new();
    while let Some(stream) = connections.next()? {
        streams.push(stream);
    }
    let mut buffer = vec![0; buffer_size(work.reading)];
    streams.iter().map(|stream| read_all(stream, work.reading, &mut buffer)).sum()
}

/// Sends back what it receives; returns how much.
fn answer(stream: &mut TcpStream, bytes: u64, buffer: &mut [u8]) -> Result<u64> {
    let request = &mut buffer[..usize::try_from(bytes)?];
    stream.read_exact(request)?;
    stream.write_all(request)?;
    Ok(bytes)
}

fn read_all(stream: &TcpStream, reading: Reading, buffer: &mut [u8]) -> Result<u64> {
    let mut sum = 0;
    loop {
        match reading.read(stream, buffer)? {
            0 => return Ok(sum),
            bytes => sum += bytes as u64,
        }
    }
}
