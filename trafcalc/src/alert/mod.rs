//! `trafcalc alert`: follows a log, and runs a command once for each record of a quota or a gap. It needs no privilege
//! except to read the log, and spares the service from running commands.
//!
//! Its position is saved in a file. It uses only the log, never the book or the service.

mod error;
mod follow;
mod state;

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

pub use error::AlertError;

use crate::command::{Command, Outcome};
use crate::config;
use crate::records::Record;
use follow::Follower;
use state::State;

/// How often the log is checked.
const POLL: Duration = Duration::from_secs(1);
/// How often the position is saved if nothing is told; records that are read again are not told again.
const KEEP: Duration = Duration::from_mins(1);
/// How often a failing command is run for one record.
const TRIES: u32 = 5;
/// Pause before it is run again; doubled each time.
const PAUSE: Duration = Duration::from_secs(1);

/// What to follow, and what to run.
#[derive(Clone, Debug)]
pub struct Request {
    /// The log, or `-` for standard input; the configured one if `None`.
    pub log: Option<PathBuf>,
    /// The configuration file of the service.
    pub config: Option<PathBuf>,
    /// Where the position is saved.
    pub state: PathBuf,
    /// Ends at the end of the log, instead of waiting for more.
    pub is_once: bool,
    /// What to run.
    pub command: Command,
}

/// Follows the log forever, or to its present end.
///
/// # Errors
/// The log cannot be read, or the position cannot be saved.
pub fn run(request: &Request) -> Result<(), AlertError> {
    if !request.command.is_program() {
        return Err(AlertError::Command(request.command.program.clone()));
    }
    let log = if let Some(log) = &request.log {
        log.clone()
    } else {
        let overrides = config::Overrides { config: request.config.clone(), ..config::Overrides::default() };
        config::resolve(&overrides)?.log.path
    };
    if log == Path::new(config::STDOUT) {
        if request.log.is_none() {
            return Err(AlertError::NoLog);
        }
        return read_through(&mut std::io::stdin().lock(), &request.command);
    }
    follow(&log, request)
}

/// Handles a stream. It cannot be read again, so no state is saved.
fn read_through(input: &mut dyn BufRead, command: &Command) -> Result<(), AlertError> {
    let mut state = State::default();
    while let Some(line) = follow::line(input).map_err(AlertError::Input)? {
        heed(&line, &mut state, command);
    }
    Ok(())
}

fn follow(log: &Path, request: &Request) -> Result<(), AlertError> {
    let mut state = State::read(&request.state)?;
    let unread = |source| AlertError::log(log, source);
    let mut follower = Follower::start(log, state.place.as_ref()).map_err(unread)?;
    state.place = follower.place().map_err(unread)?;
    state.keep(&request.state)?;
    let mut kept = Instant::now();
    loop {
        while let Some(line) = follower.next().map_err(unread)? {
            if heed(&line, &mut state, &request.command) {
                state.place = follower.place().map_err(unread)?;
                state.keep(&request.state)?;
                kept = Instant::now();
            }
        }
        if request.is_once || kept.elapsed() > KEEP {
            state.place = follower.place().map_err(unread)?;
            state.keep(&request.state)?;
            kept = Instant::now();
        }
        if request.is_once {
            return Ok(());
        }
        thread::sleep(POLL);
    }
}

/// Runs the command if the line is a quota or gap record that was not told yet; returns whether it was.
fn heed(line: &[u8], state: &mut State, command: &Command) -> bool {
    let record = std::str::from_utf8(line).ok().and_then(Record::read);
    let Some(record) = record.filter(|record| matches!(record.kind().as_str(), "quota" | "gap")) else { return false };
    let key = key(&record);
    if state.is_told(&key) {
        return false;
    }
    let mut pause = PAUSE;
    for number in 1..=TRIES {
        match command.run(variables(&record), Stdio::null()) {
            Outcome::Done => break,
            outcome if number == TRIES => tracing::error!("{command} {outcome}; it is not run again for: {key}"),
            outcome => {
                tracing::warn!("{command} {outcome}; it is run again in {} s", pause.as_secs());
                thread::sleep(pause);
                pause *= 2;
            }
        }
    }
    state.note(key);
    true
}

/// The fields of a record as environment variables.
fn variables(record: &Record) -> impl Iterator<Item = (String, String)> {
    // No variable can contain NUL.
    record.fields().map(|(name, text)| (format!("TRAFCALC_{}", name.to_uppercase()), text.replace('\0', "\u{fffd}")))
}

/// What identifies a record, the same in each format.
fn key(record: &Record) -> String {
    let parts = ["type", "host", "epoch", "seq", "quota", "percent", "from", "to"];
    let parts = parts.iter().filter_map(|name| Some(format!("{name}={}", record.text(name)?)));
    parts.collect::<Vec<_>>().join(" ")
}
