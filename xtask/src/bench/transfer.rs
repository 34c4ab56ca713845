//! A transfer between the two ends of a line.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::line::{End, FAR_ADDRESS, FAR_PORT, LOOPBACK_ADDRESS, Line};
use super::traffic::{self, Reading};

/// The direction of the bytes, from the near end's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Sent,
    Received,
}

/// What to move, and how.
#[derive(Clone, Copy)]
pub(super) struct Transfer {
    /// Bytes of each connection.
    pub(super) bytes: u64,
    pub(super) chunk: u32,
    /// Bytes a second; `None` for full speed.
    pub(super) rate: Option<u64>,
    pub(super) connections: u32,
    /// The number of users that own the connections.
    pub(super) users: u32,
    pub(super) reading: Reading,
    pub(super) direction: Direction,
    /// Each connection also carries as many bytes back, which are not in `Moved::bytes`.
    pub(super) is_answered: bool,
    /// Both ends are at the near end and use its loopback device.
    pub(super) is_loopback: bool,
    /// All connections are open at once, and are held this long before `look` is called.
    pub(super) hold: Option<Duration>,
    /// Both ends run on one processor.
    pub(super) on_one_processor: bool,
}

/// 3 GB at full speed.
pub(super) const FULL_SPEED: Transfer = Transfer {
    bytes: 3_000_000_000,
    chunk: 65_536,
    rate: None,
    connections: 1,
    users: 1,
    reading: Reading::Plain,
    direction: Direction::Sent,
    is_answered: false,
    is_loopback: false,
    hold: None,
    on_one_processor: false,
};

/// What was moved.
#[derive(Clone, Copy)]
pub(super) struct Moved {
    pub(super) bytes: u64,
    /// From the first connection to the last byte read.
    pub(super) seconds: f64,
    /// Processor time of both ends in seconds, including the kernel's work for them.
    pub(super) cpu: f64,
}

/// Most connections of a process: few hosts allow it more than this many files.
const CONNECTIONS_OF_A_PAIR: u32 = 16_000;
const FILES: u32 = 16_384;

impl Transfer {
    /// Runs the transfer. Calls `look` while connections are held, or else at the end.
    pub(super) fn run<T>(&self, line: &Line, look: impl FnOnce() -> Result<T>) -> Result<(Moved, T)> {
        let pairs = (0..).zip(self.shares()).map(|(index, share)| share.start(line, FAR_PORT + index));
        let pairs = pairs.collect::<Result<Vec<_>>>()?;
        let Some(hold) = self.hold else {
            return Ok((finish(pairs)?, look()?));
        };
        sleep(hold);
        let looked = look()?;
        Ok((finish(pairs)?, looked))
    }

    /// The share of each pair of processes.
    fn shares(&self) -> impl Iterator<Item = Self> {
        let at_once = if self.hold.is_some() { CONNECTIONS_OF_A_PAIR } else { u32::MAX };
        let mut left = self.connections;
        std::iter::from_fn(move || {
            let connections = left.min(at_once);
            left -= connections;
            (connections > 0).then_some(Self { connections, ..*self })
        })
    }

    /// Starts the listening and the connecting end.
    fn start(&self, line: &Line, port: u16) -> Result<(Peer, Peer)> {
        let sends_near = self.direction == Direction::Sent;
        let far = if self.is_loopback { End::Near } else { End::Far };
        let server = Peer::start(self.command(line, (far, "listen"), !sends_near, port)?)?;
        let client = Peer::start(self.command(line, (End::Near, "connect"), sends_near, port)?)?;
        Ok((client, server))
    }

    fn command(&self, line: &Line, (end, role): (End, &str), sends: bool, port: u16) -> Result<Command> {
        let mut command = line.command(end, "prlimit");
        command.arg(format!("--nofile={FILES}"));
        if self.on_one_processor {
            command.args(["taskset", "--cpu-list", "0"]);
        }
        if self.users == 1 {
            command.args(["setpriv", "--clear-groups", &format!("--reuid={}", traffic::UID)]);
        }
        let address = if self.is_loopback { LOOPBACK_ADDRESS } else { FAR_ADDRESS };
        command.arg(env::current_exe()?).args(["bench-traffic", role, &format!("{address}:{port}")]);
        command.args(sends.then_some("--sends"));
        for (option, value) in [
            ("--bytes", self.bytes.to_string()),
            ("--chunk", self.chunk.to_string()),
            ("--connections", self.connections.to_string()),
            ("--users", self.users.to_string()),
            ("--rate", self.rate.unwrap_or(0).to_string()),
            ("--reading", self.reading.name().to_owned()),
            ("--is-answered", self.is_answered.to_string()),
            ("--is-held", self.hold.is_some().to_string()),
        ] {
            command.args([option, &value]);
        }
        Ok(command)
    }
}

/// Waits for all ends. Both ends of a pair must have moved the same bytes; the time is that of the end that finishes
/// last.
fn finish(pairs: Vec<(Peer, Peer)>) -> Result<Moved> {
    let mut all = Moved { bytes: 0, seconds: 0.0, cpu: 0.0 };
    for (client, server) in pairs {
        let (client, server) = (client.finish()?, server.finish()?);
        ensure!(client.bytes == server.bytes, "the transfer itself lost bytes: {}, {}", client.bytes, server.bytes);
        all.bytes += client.bytes;
        all.seconds = all.seconds.max(client.seconds).max(server.seconds);
        all.cpu += client.cpu + server.cpu;
    }
    Ok(all)
}

/// A traffic process. It prints `ready` when it can be used, ends when its standard input is closed and its work is
/// done, and prints what it moved. Killed on drop.
struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut peer = Self { child, stdin, output };
        let mut line = String::new();
        peer.output.read_line(&mut line)?;
        ensure!(line == "ready\n", "a traffic program said {line:?}");
        Ok(peer)
    }

    fn finish(mut self) -> Result<Moved> {
        drop(self.stdin.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "a traffic program ended with {status}");
        parse(&rest).with_context(|| format!("a traffic program said {rest:?}"))
    }
}

fn parse(said: &str) -> Option<Moved> {
    let mut words = said.split_whitespace();
    let (bytes, seconds, cpu) = (words.next()?, words.next()?, words.next()?);
    Some(Moved { bytes: bytes.parse().ok()?, seconds: seconds.parse().ok()?, cpu: cpu.parse().ok()? })
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
