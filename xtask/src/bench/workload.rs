//! The transfers, each with what its table says about it.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::line::{End, FAR_ADDRESS, Line};
use super::traffic;

/// One of them.
pub(super) struct Workload {
    pub(super) name: &'static str,
    /// What each connection sends.
    bytes: u64,
    chunk: u64,
    /// Bytes a second, or as fast as it goes.
    rate: Option<u64>,
    connections: u32,
    /// Its cost is memory, and one turn tells.
    is_held: bool,
}

const FULL_SPEED: Workload = Workload {
    name: "3 GB at full speed, writes of 64 KiB",
    bytes: 3_000_000_000,
    chunk: 65_536,
    rate: None,
    connections: 1,
    is_held: false,
};

/// All of them.
pub(super) const WORKLOADS: [Workload; 5] = [
    FULL_SPEED,
    Workload { name: "300 MB at full speed, writes of 1,000 bytes", bytes: 300_000_000, chunk: 1_000, ..FULL_SPEED },
    Workload { name: "3 MB/s for 10 s", bytes: 30_000_000, rate: Some(3_000_000), ..FULL_SPEED },
    Workload { name: "2,000 connections of 10,000 bytes", bytes: 10_000, connections: 2_000, ..FULL_SPEED },
    Workload { name: "10,000 open connections", bytes: 1, connections: 10_000, is_held: true, ..FULL_SPEED },
];

/// How long connections are held before memory is looked at.
const HOLD: Duration = Duration::from_secs(3);

/// What a transfer did.
pub(super) struct Transfer {
    pub(super) seconds: f64,
    pub(super) sent_bytes: u64,
    /// Of the tool, while all connections are open.
    pub(super) resident_bytes: Option<u64>,
}

impl Workload {
    /// How many turns, of so many.
    pub(super) fn repeats(&self, repeats: u32) -> u32 {
        if self.is_held { 1 } else { repeats }
    }

    /// Sends it all from the near end to the far end. `resident` is asked while connections are held.
    pub(super) fn run(&self, line: &Line, resident: impl FnOnce() -> Result<Option<u64>>) -> Result<Transfer> {
        let server = Peer::start(self.command(line, End::Far, "listen")?)?;
        let start = Instant::now();
        let client = Peer::start(self.command(line, End::Near, "connect")?)?;
        let mut resident_bytes = None;
        if self.is_held {
            sleep(HOLD);
            resident_bytes = resident()?;
        }
        let sent_bytes = client.finish()?;
        let seconds = start.elapsed().as_secs_f64();
        let received_bytes = server.finish()?;
        ensure!(sent_bytes == received_bytes, "the transfer itself lost bytes: {sent_bytes}, {received_bytes}");
        Ok(Transfer { seconds, sent_bytes, resident_bytes })
    }

    fn command(&self, line: &Line, end: End, role: &str) -> Result<Command> {
        let mut command = line.command(end, "prlimit");
        command.arg("--nofile=16384").args(["setpriv", "--clear-groups"]);
        command.arg(format!("--reuid={}", traffic::UID)).arg(env::current_exe()?).args(["bench-traffic", role]);
        command.args([FAR_ADDRESS, &self.bytes.to_string(), &self.chunk.to_string()]);
        command.args([self.connections.to_string(), self.rate.unwrap_or(0).to_string(), self.is_held.to_string()]);
        Ok(command)
    }
}

/// A traffic program: says `ready` when others may go on, ends when its standard input is closed and its work is done,
/// and says how many bytes it moved. Killed when dropped.
struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    output: BufReader<std::process::ChildStdout>,
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

    fn finish(mut self) -> Result<u64> {
        drop(self.stdin.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "a traffic program ended with {status}");
        rest.trim().parse().with_context(|| format!("a traffic program said {rest:?}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// By how much `counted` is off, in percent.
#[expect(clippy::cast_precision_loss, reason = "a percentage to be read by people")]
pub(super) fn error(counted: u64, truth: u64) -> f64 {
    (counted as f64 - truth as f64) / truth as f64 * 100.0
}
