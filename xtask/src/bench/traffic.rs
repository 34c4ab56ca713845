//! The two ends of a transfer, as separate processes, so that their cost is not that of the measured tool.
//!
//! An end prints `ready` when it can be used, and at the end the bytes it moved, the seconds, and the seconds of
//! processor time.

mod receive;
mod send;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Uid, setfsuid};

pub(super) use receive::Reading;

/// The uid that sends and receives, and the first of several; no other user of the host has these uids.
pub(super) const UID: u32 = 20_100;
/// How often a sender wakes that is paced or keeps connections busy.
const BEAT: Duration = Duration::from_millis(100);

/// An end.
#[derive(Args, Clone)]
pub(crate) struct Arguments {
    role: Role,
    /// Where the end that listens does so
    address: SocketAddr,
    /// Whether this end sends
    #[arg(long)]
    sends: bool,
    #[command(flatten)]
    work: Work,
}

/// Which end opens the connections.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    Listen,
    Connect,
}

/// The work, which both ends know.
#[derive(Args, Clone)]
pub(super) struct Work {
    /// What each connection carries
    #[arg(long)]
    pub(super) bytes: u64,
    /// Bytes of one write
    #[arg(long)]
    pub(super) chunk: usize,
    #[arg(long)]
    pub(super) connections: u32,
    /// The connections belong to so many users
    #[arg(long)]
    pub(super) users: u32,
    /// Bytes a second; 0 for as fast as it goes
    #[arg(long)]
    pub(super) rate: u64,
    #[arg(long)]
    pub(super) reading: Reading,
    /// The end that receives sends as many bytes back, and then the other one closes; only of connections one after the other
    #[arg(long, action = clap::ArgAction::Set)]
    pub(super) is_answered: bool,
    /// All connections are opened at once, and stay until standard input ends; until then each sends a byte a second
    #[arg(long, action = clap::ArgAction::Set)]
    pub(super) is_held: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut connections = Connections::new(arguments)?;
    let bytes = match (arguments.sends, arguments.work.is_held) {
        (true, false) => send::one_after_the_other(&mut connections, &arguments.work)?,
        (true, true) => send::all_at_once(&mut connections, &arguments.work)?,
        (false, false) => receive::one_after_the_other(&mut connections, &arguments.work)?,
        (false, true) => receive::all_at_once(&mut connections, &arguments.work)?,
    };
    let (start, cpu) = connections.first.context("there was no connection")?;
    let cpu = processor_time()?.saturating_sub(cpu);
    println!("{bytes} {} {}", start.elapsed().as_secs_f64(), cpu.as_secs_f64());
    Ok(())
}

/// The processor time of this process, including the kernel's work for it. Softirqs are excluded if the kernel accounts
/// them separately (`CONFIG_IRQ_TIME_ACCOUNTING`).
fn processor_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// Makes one connection at each call.
struct Connections<'a> {
    arguments: &'a Arguments,
    listener: Option<TcpListener>,
    made: u32,
    /// When the first connection was made, and the processor time until then.
    first: Option<(Instant, Duration)>,
}

impl<'a> Connections<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self> {
        let is_listening = arguments.role == Role::Listen;
        let listener = is_listening.then(|| TcpListener::bind(arguments.address)).transpose()?;
        if is_listening || !arguments.work.is_held {
            println!("ready");
        }
        Ok(Self { arguments, listener, made: 0, first: None })
    }

    fn next(&mut self) -> Result<Option<TcpStream>> {
        let Work { connections, users, .. } = self.arguments.work;
        if self.made == connections {
            return Ok(None);
        }
        let stream = match &self.listener {
            Some(listener) => listener.accept()?.0,
            None => self.connect(users)?,
        };
        if self.first.is_none() {
            self.first = Some((Instant::now(), processor_time()?));
        }
        self.made += 1;
        Ok(Some(stream))
    }

    /// A socket belongs to the file system uid of the thread that creates it.
    fn connect(&self, users: u32) -> Result<TcpStream> {
        if users > 1 {
            setfsuid(Uid::from_raw(UID + self.made % users));
        }
        Ok(TcpStream::connect(self.arguments.address)?)
    }
}
