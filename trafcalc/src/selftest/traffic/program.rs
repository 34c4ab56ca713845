//! The traffic program: this executable again, as another user. It writes what its system calls returned to standard output, one number
//! a line. It must never read what was counted.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, alarm, setgroups, setresgid, setresuid};

use super::super::scenarios::{self, Scenario};
use crate::service::exit::Exit;

/// The hidden command that runs it.
pub const COMMAND: &str = "selftest-traffic";
/// It ends by itself after this many seconds, whatever it waits for. A scenario takes less than two, under emulation some ten.
const LONGEST_S: u32 = 60;

/// The task of one program.
#[derive(Clone, Debug)]
pub struct Program {
    /// Name of the scenario.
    pub scenario: String,
    /// Which end it is.
    pub role: Role,
    /// The uid to run as.
    pub uid: u32,
    /// How long it keeps each connection open after its bytes.
    pub hold_ms: u64,
}

/// An end of the connections.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// Connects and sends.
    Send {
        /// Where the receiver listens.
        port: u16,
    },
    /// Listens and receives; reports its port first.
    Receive,
}

/// Runs it.
#[must_use]
pub fn main(program: &Program) -> Exit {
    match run(program) {
        Ok(()) => Exit::Done,
        Err(error) => {
            // If even this fails, the exit code remains.
            let _ = writeln!(io::stderr(), "trafcalc: traffic of {:?}: {error}", program.scenario);
            Exit::Unavailable
        }
    }
}

fn run(program: &Program) -> io::Result<()> {
    alarm::set(LONGEST_S);
    let scenario = scenarios::ALL.iter().find(|scenario| scenario.name == program.scenario);
    let scenario = scenario.ok_or(io::ErrorKind::NotFound)?;
    become_user(program.uid)?;
    let hold = Duration::from_millis(program.hold_ms);
    match program.role {
        Role::Send { port } => send(scenario, port, hold),
        Role::Receive => receive(scenario, hold),
    }
}

/// Changes the user for good, before any socket is made, and makes the process end with its parent.
fn become_user(uid: u32) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)?;
    Ok(set_pdeathsig(Signal::SIGKILL)?)
}

fn send(scenario: &Scenario, port: u16, hold: Duration) -> io::Result<()> {
    let mut sent = 0;
    for _ in 0..scenario.connections {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        sent += (scenario.send)(&socket)?;
        thread::sleep(hold);
    }
    say(sent)
}

fn receive(scenario: &Scenario, hold: Duration) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    say(listener.local_addr()?.port().into())?;
    let mut received = 0;
    for _ in 0..scenario.connections {
        let (socket, _) = listener.accept()?;
        received += (scenario.receive)(&socket)?;
        thread::sleep(hold);
    }
    say(received)
}

fn say(number: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{number}")?;
    out.flush()
}
