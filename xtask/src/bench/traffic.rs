//! The two ends of a transfer: processes of their own, so that their cost is not the measured tool's.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

/// The user who sends and receives; nobody else on the host has this number.
pub(super) const UID: u32 = 20_100;
/// A paced sender wakes so often.
const BEAT: Duration = Duration::from_millis(100);

/// One end.
#[derive(Args)]
pub(crate) struct Arguments {
    role: String,
    address: SocketAddr,
    /// What each connection carries
    bytes: u64,
    /// Bytes of one write
    chunk: u64,
    connections: u32,
    /// Bytes a second; 0 for as fast as it goes
    rate: u64,
    /// Whether all connections stay open until standard input ends
    #[arg(action = clap::ArgAction::Set)]
    is_held: bool,
}

/// The command.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let bytes = match (arguments.role.as_str(), arguments.is_held) {
        ("listen", false) => receive(arguments)?,
        ("listen", true) => receive_and_hold(arguments)?,
        ("connect", false) => send(arguments)?,
        ("connect", true) => send_and_hold(arguments)?,
        _ => bail!("a traffic program listens or connects"),
    };
    println!("{bytes}");
    Ok(())
}

fn listen(arguments: &Arguments) -> Result<TcpListener> {
    let listener = TcpListener::bind(arguments.address)?;
    println!("ready");
    Ok(listener)
}

fn receive(arguments: &Arguments) -> Result<u64> {
    let listener = listen(arguments)?;
    let mut buffer = vec![0; 1 << 18];
    let mut sum = 0;
    for _ in 0..arguments.connections {
        let mut stream = listener.accept()?.0;
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                bytes => sum += bytes as u64,
            }
        }
    }
    Ok(sum)
}

fn receive_and_hold(arguments: &Arguments) -> Result<u64> {
    let listener = listen(arguments)?;
    let streams = (0..arguments.connections).map(|_| Ok(listener.accept()?.0)).collect::<Result<Vec<_>>>()?;
    let read = |mut stream: &TcpStream| -> Result<u64> { Ok(io::copy(&mut stream, &mut io::sink())?) };
    streams.iter().map(read).sum()
}

fn send(arguments: &Arguments) -> Result<u64> {
    println!("ready");
    let buffer = vec![0x5a; usize::try_from(arguments.chunk)?];
    for _ in 0..arguments.connections {
        let stream = TcpStream::connect(arguments.address)?;
        if arguments.rate == 0 {
            write(&stream, &buffer, arguments.bytes)?;
        } else {
            write_paced(&stream, &buffer, arguments)?;
        }
    }
    Ok(arguments.bytes * u64::from(arguments.connections))
}

fn send_and_hold(arguments: &Arguments) -> Result<u64> {
    let open = |_| -> Result<TcpStream> {
        let mut stream = TcpStream::connect(arguments.address)?;
        stream.write_all(&vec![0x5a; usize::try_from(arguments.bytes)?])?;
        Ok(stream)
    };
    let streams = (0..arguments.connections).map(open).collect::<Result<Vec<_>>>()?;
    println!("ready");
    io::copy(&mut io::stdin(), &mut io::sink())?;
    drop(streams);
    Ok(arguments.bytes * u64::from(arguments.connections))
}

fn write(mut stream: &TcpStream, buffer: &[u8], bytes: u64) -> Result<()> {
    let mut left = bytes;
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        stream.write_all(&buffer[..size])?;
        left -= size as u64;
    }
    Ok(())
}

fn write_paced(stream: &TcpStream, buffer: &[u8], arguments: &Arguments) -> Result<()> {
    let start = Instant::now();
    let a_beat = arguments.rate * u64::try_from(BEAT.as_millis())? / 1000;
    let beats = arguments.bytes.div_ceil(a_beat);
    for beat in 0..beats {
        write(stream, buffer, a_beat.min(arguments.bytes - beat * a_beat))?;
        let next = BEAT * u32::try_from(beat + 1)?;
        sleep(next.saturating_sub(start.elapsed()));
    }
    Ok(())
}
