//! Runs a program of the administrator, for `alert` and `ship`: without a shell, and with a time limit.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{self, Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A program that takes longer is killed, because the next run waits for it.
const PATIENCE: Duration = Duration::from_mins(5);
/// Pause between two checks whether it has ended.
const POLL: Duration = Duration::from_millis(20);

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program, looked for in `PATH` if it has no slash.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// The result of a run.
#[derive(Debug)]
pub enum Outcome {
    /// It exited with 0.
    Done,
    /// It ended otherwise.
    Failed(ExitStatus),
    /// It was killed, because it took too long.
    TooLong,
    /// It could not be started.
    NotRun(io::Error),
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => formatter.write_str("exited with 0"),
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
    /// Whether the program exists and may be executed. One without a slash is looked for when it is run.
    #[must_use]
    pub fn is_program(&self) -> bool {
        let is_path = self.program.components().count() > 1;
        let is_executable = |found: std::fs::Metadata| found.is_file() && found.permissions().mode() & 0o111 != 0;
        !is_path || self.program.metadata().is_ok_and(is_executable)
    }

    /// Runs it to its end, with these variables added to its environment.
    pub fn run(&self, variables: impl IntoIterator<Item = (String, String)>, input: Stdio) -> Outcome {
        let mut command = process::Command::new(&self.program);
        match command.args(&self.arguments).envs(variables).stdin(input).spawn() {
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
    // It may have ended just before.
    Ok(if child.wait()?.success() { Outcome::Done } else { Outcome::TooLong })
}
