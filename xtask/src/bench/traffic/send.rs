//! The sending end.

use std::io::{Read as _, Write as _, stdin};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{BEAT, Connections, Work};

/// How often a busy connection sends a byte.
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn one_after_the_other(connections: &mut Connections<'_>, work: &Work) -> Result<u64> {
    let buffer = vec![0x5a; work.chunk];
    let mut answer = vec![0; if work.is_answered { usize::try_from(work.bytes)? } else { 0 }];
    let mut sum = 0;
    while let Some(mut stream) = connections.next()? {
        match work.rate {
            0 => write(&stream, &buffer, work.bytes)?,
            rate => write_paced(&stream, &buffer, work.bytes, rate)?,
        }
        // Returns at once if there is no answer.
        stream.read_exact(&mut answer)?;
        sum += work.bytes;
    }
    Ok(sum)
}

/// Whether standard input has ended.
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Opens all connections and sends each its bytes, every second if there is a rate, until standard input ends.
pub(super) fn all_at_once(connections: &mut Connections<'_>, work: &Work) -> Result<u64> {
    let mut streams = Vec::new();
    while let Some(stream) = connections.next()? {
        streams.push(stream);
    }
    thread::spawn(|| {
        let _ = std::io::copy(&mut stdin(), &mut std::io::sink());
        IS_OVER.store(true, Ordering::Relaxed);
    });
    let buffer = vec![0x5a; work.chunk];
    let round = || streams.iter().try_for_each(|stream| write(stream, &buffer, work.bytes));
    round()?;
    println!("ready");
    let start = Instant::now();
    let mut rounds = 1;
    while !IS_OVER.load(Ordering::Relaxed) {
        if work.rate > 0 && start.elapsed() >= SECOND * rounds {
            round()?;
            rounds += 1;
        }
        sleep(BEAT);
    }
    Ok(work.bytes * u64::from(rounds) * u64::from(work.connections))
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

fn write_paced(stream: &TcpStream, buffer: &[u8], bytes: u64, rate: u64) -> Result<()> {
    let start = Instant::now();
    let a_beat = rate * u64::try_from(BEAT.as_millis())? / 1000;
    for beat in 0..bytes.div_ceil(a_beat) {
        write(stream, buffer, a_beat.min(bytes - beat * a_beat))?;
        let next = BEAT * u32::try_from(beat + 1)?;
        sleep(next.saturating_sub(start.elapsed()));
    }
    Ok(())
}
