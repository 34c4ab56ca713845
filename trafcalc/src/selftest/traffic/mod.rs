//! Starts the two programs of a scenario as their users, and reads what they report to have sent and received.

pub mod program;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::SelftestError;
use super::scenarios::Scenario;

/// Plays `scenario` in the calling thread's network namespace: `sender` connects to `receiver`, and both keep each connection open for
/// `hold_ms` after its bytes. Returns the bytes sent and those received.
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

/// A running program; killed when dropped.
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

    /// Reads the next number that it reports. It ends by itself if it takes too long.
    fn number(&mut self) -> Result<u64, SelftestError> {
        let mut line = String::new();
        self.says.read_line(&mut line).map_err(SelftestError::step("listening to a traffic program"))?;
        line.trim().parse().map_err(|_| SelftestError::Traffic { scenario: self.scenario })
    }

    /// Waits for its end. Fails unless it ended successfully.
    fn end(mut self) -> Result<(), SelftestError> {
        let status = self.child.wait().map_err(SelftestError::step("waiting for a traffic program"))?;
        if status.success() { Ok(()) } else { Err(SelftestError::Traffic { scenario: self.scenario }) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both calls fail if it has already ended, which is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
