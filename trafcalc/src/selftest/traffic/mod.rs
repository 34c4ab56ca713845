//! The two programs of a scenario: started as the users they are for, and what they say they sent and received.

pub mod program;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::SelftestError;
use super::scenarios::Scenario;

/// Plays `scenario` in the calling thread's network namespace: `sender` connects to `receiver`, both keep each
/// connection for `hold_ms` beyond its bytes. Gives the bytes sent and those received.
pub(super) fn play(
    scenario: &'static Scenario,
    sender: u32,
    receiver: u32,
    hold_ms: u64,
) -> Result<(u64, u64), SelftestError> {
    let mut taking = Running::start(scenario, receiver, hold_ms, &["receive"])?;
    let port = taking.number()?.to_string();
    let mut giving = Running::start(scenario, sender, hold_ms, &["send", &port])?;
    let bytes = (giving.number()?, taking.number()?);
    giving.end()?;
    taking.end()?;
    Ok(bytes)
}

/// A program that runs; killed when dropped.
struct Running {
    scenario: &'static str,
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Running {
    fn start(scenario: &Scenario, uid: u32, hold_ms: u64, role: &[&str]) -> Result<Self, SelftestError> {
        let step = SelftestError::step("starting a traffic program");
        let mut command = Command::new("/proc/self/exe");
        command.args([program::COMMAND, scenario.name, &uid.to_string(), &hold_ms.to_string()]).args(role);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(&step)?;
        let stdout = child.stdout.take().ok_or_else(|| step(std::io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { scenario: scenario.name, child, says: BufReader::new(stdout) })
    }

    /// The next number that it says; it ends by itself when it takes too long.
    fn number(&mut self) -> Result<u64, SelftestError> {
        let mut line = String::new();
        self.says.read_line(&mut line).map_err(SelftestError::step("listening to a traffic program"))?;
        line.trim().parse().map_err(|_| SelftestError::Traffic { scenario: self.scenario })
    }

    /// Waits until all that it did is done.
    fn end(mut self) -> Result<(), SelftestError> {
        let status = self.child.wait().map_err(SelftestError::step("waiting for a traffic program"))?;
        if status.success() { Ok(()) } else { Err(SelftestError::Traffic { scenario: self.scenario }) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
