//! A connection's life by chance, the same for the same seed. No action waits for the peer, so that two such ends never
//! wait for each other.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};

use super::tcp;

/// Most bytes of one call: more than a send buffer has room for at the beginning.
const MOST: u64 = 300_000;
const MOST_ACTIONS: u64 = 30;
const LONGEST_PAUSE_MS: u64 = 10;

/// How long an orderly end waits for the peer's.
const ORDERLY: Duration = Duration::from_secs(2);

/// How many connections of this program have lived.
static LIVES: AtomicU64 = AtomicU64::new(0);

/// Takes the connection through its life; the caller closes it.
pub(super) fn live(socket: &TcpStream, seed: u64) -> Result<()> {
    let mut dice = Dice::new(seed, LIVES.fetch_add(1, Ordering::Relaxed));
    let mut buffer = vec![0x5a; usize::try_from(MOST)?];
    for _ in 0..dice.below(MOST_ACTIONS) {
        act(socket, &mut dice, &mut buffer).or_else(unless_expected)?;
    }
    end(socket, &mut dice, &mut buffer).or_else(unless_expected)
}

fn act(socket: &TcpStream, dice: &mut Dice, buffer: &mut [u8]) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    let part = &mut buffer[..=usize::try_from(dice.below(MOST)).expect("64 bits")];
    match dice.below(12) {
        0..=3 => drop(send(fd, part, MsgFlags::MSG_DONTWAIT)?),
        4..=6 => drop(recv(fd, part, MsgFlags::MSG_DONTWAIT)?),
        7 => drop(recv(fd, part, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK)?),
        8 => drop(send(fd, &part[..1], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_OOB)?),
        9 if dice.below(6) == 0 => socket.shutdown(Shutdown::Write)?,
        _ => sleep(Duration::from_millis(dice.below(LONGEST_PAUSE_MS))),
    }
    Ok(())
}

fn end(socket: &TcpStream, dice: &mut Dice, buffer: &mut [u8]) -> io::Result<()> {
    match dice.below(6) {
        0 => Ok(setsockopt(socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?),
        1 => tcp::disconnect(socket),
        // A close with whatever is unread.
        2 => Ok(()),
        _ => in_order(socket, buffer),
    }
}

/// Ends the own direction and reads the other to its end, unless that takes too long.
fn in_order(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    socket.shutdown(Shutdown::Write)?;
    let deadline = Instant::now() + ORDERLY;
    while Instant::now() < deadline {
        match recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => break,
            Err(nix::errno::Errno::EAGAIN) => sleep(Duration::from_millis(1)),
            result => drop(result?),
        }
    }
    Ok(())
}

/// Whatever the peer and chance may have led to.
fn unless_expected(error: io::Error) -> Result<()> {
    use ErrorKind::{BrokenPipe, ConnectionReset, InvalidInput, NotConnected, WouldBlock};
    match error.kind() {
        BrokenPipe | ConnectionReset | InvalidInput | NotConnected | WouldBlock => Ok(()),
        _ => Err(error.into()),
    }
}

/// Numbers that look random: xorshift64* of Marsaglia and Vigna.
struct Dice(u64);

impl Dice {
    fn new(seed: u64, number: u64) -> Self {
        // Neighbouring seeds must not give similar numbers, and 0 gives only zeroes.
        let mut dice = Self((seed << 32 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            dice.next();
        }
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
