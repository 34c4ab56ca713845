//! A transfer with both ends in one thread, measured in slices of some milliseconds.
//!
//! Two processes on one processor wake each other in a pattern that changes by itself and costs or saves half of the
//! time; one thread has no such pattern. On a virtual machine, the same work may also take up to half as long again for
//! several seconds, without a cause inside the machine. Of many short slices, the fast ones are those that nothing
//! disturbed.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use nix::sched::{CloneFlags, setns};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Uid, setfsuid};

use super::line::{End, FAR_ADDRESS, FAR_PORT, Line};
use super::traffic;
use crate::shell;

/// Number of slices in a transfer.
const SLICES: u32 = 100;

/// The work of a slice.
#[derive(Args, Clone, Copy)]
pub(super) struct Writes {
    /// Bytes of a write, and of a read
    #[arg(long)]
    pub(super) chunk: u32,
    /// Writes before as many reads; a socket must have room for them
    #[arg(long)]
    pub(super) at_once: u32,
    /// How often that is done
    #[arg(long)]
    pub(super) rounds: u32,
}

impl Writes {
    /// The bytes moved in this many slices.
    pub(super) fn bytes(self, slices: usize) -> u64 {
        u64::from(self.chunk) * u64::from(self.at_once) * u64::from(self.rounds) * slices as u64
    }
}

/// The transfer, run as a separate process.
#[derive(Args)]
pub(crate) struct Arguments {
    address: SocketAddr,
    /// The network namespace in which one end listens
    #[arg(long)]
    far: PathBuf,
    #[command(flatten)]
    writes: Writes,
}

/// Nanoseconds of processor time for a write and its read, for each slice.
pub(super) fn measure(line: &Line, writes: Writes) -> Result<Vec<f64>> {
    let mut command = line.command(End::Near, "taskset");
    command.args(["--cpu-list", "0"]).arg(std::env::current_exe()?).arg("bench-slices");
    command.arg(format!("{FAR_ADDRESS}:{FAR_PORT}")).arg("--far").arg(line.namespace(End::Far));
    command.args(["--chunk", &writes.chunk.to_string(), "--at-once", &writes.at_once.to_string()]);
    command.args(["--rounds", &writes.rounds.to_string()]);
    let said = shell::output(&mut command)?;
    Ok(said.lines().map(str::parse).collect::<Result<_, _>>()?)
}

/// Runs the command: prints for each slice how many nanoseconds a write and its read took.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Writes { chunk, at_once, rounds } = arguments.writes;
    let (mut near, mut far) = connected(arguments)?;
    let mut buffer = vec![7; usize::try_from(chunk)?];
    for _ in 0..SLICES {
        let before = processor_time()?;
        for _ in 0..rounds {
            (0..at_once).try_for_each(|_| near.write_all(&buffer))?;
            (0..at_once).try_for_each(|_| far.read_exact(&mut buffer))?;
        }
        let spent = processor_time()?.saturating_sub(before);
        println!("{}", spent.as_secs_f64() * 1e9 / f64::from(rounds * at_once));
    }
    drop(near);
    ensure!(far.read(&mut buffer)? == 0, "more was received than sent");
    Ok(())
}

/// Both ends of a connection between the namespaces.
fn connected(arguments: &Arguments) -> Result<(TcpStream, TcpStream)> {
    let near = File::open("/proc/thread-self/ns/net")?;
    let far = File::open(&arguments.far).with_context(|| format!("cannot open {}", arguments.far.display()))?;
    setns(far, CloneFlags::CLONE_NEWNET)?;
    let listener = TcpListener::bind(arguments.address)?;
    setns(near, CloneFlags::CLONE_NEWNET)?;
    // The owner of the sockets created from here on.
    setfsuid(Uid::from_raw(traffic::UID));
    let near = TcpStream::connect(arguments.address)?;
    Ok((near, listener.accept()?.0))
}

/// The processor time of this thread, including the kernel's work for it. Softirqs are excluded if the kernel accounts
/// them separately (`CONFIG_IRQ_TIME_ACCOUNTING`).
fn processor_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}
