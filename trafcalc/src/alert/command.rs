//! Runs the command without a shell, with the fields of the record in its environment.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{self, Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::AlertError;
use crate::records::Record;

/// A command that takes longer is killed, so that others need not wait.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often to check whether it has ended.
const POLL: Duration = Duration::from_millis(20);

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program, looked up in `PATH` if it has no slash.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// How a command ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Done,
    Failed(ExitStatus),
    TooLong,
    NotRun(io::Error),
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => formatter.write_str("has done it"),
            Self::Failed(status) => write!(formatter, "ended with {status}"),
            Self::TooLong => write!(formatter, "took longer than {} min and was killed", PATIENCE.as_secs() / 60),
            Self::NotRun(error) => write!(formatter, "could not be run: {error}"),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.program.display())
    }
}

impl Command {
    /// Checks that the program exists. One without a slash is looked up in `PATH` only when it is run.
    pub(super) fn check(&self) -> Result<(), AlertError> {
        if self.program.components().count() < 2 {
            return Ok(());
        }
        let is_program =
            self.program.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
        if is_program { Ok(()) } else { Err(AlertError::Command(self.program.clone())) }
    }

    /// Runs it and waits for its end.
    pub(super) fn run(&self, record: &Record) -> Outcome {
        let mut command = process::Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null());
        for (name, text) in record.fields() {
            // No variable can contain NUL.
            command.env(format!("TRAFCALC_{}", name.to_uppercase()), text.replace('\0', "\u{fffd}"));
        }
        match command.spawn() {
            Ok(child) => wait(child).unwrap_or_else(Outcome::NotRun),
            Err(error) => Outcome::NotRun(error),
        }
    }
}

fn wait(mut child: Child) -> io::Result<Outcome> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() { Outcome::Done } else { Outcome::Failed(status) });
        }
        thread::sleep(POLL);
    }
    child.kill()?;
    child.wait().map(|_| Outcome::TooLong)
}
