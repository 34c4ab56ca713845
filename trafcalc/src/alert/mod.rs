//! `trafcalc alert`: follows a log, and runs a command once for each record of a quota or a gap. It needs no privilege but to read the
//! log, so that the service itself runs no command.
//!
//! Its place is kept in a file. It knows the log alone, never the book or the service.

mod command;
mod error;
mod follow;
mod state;

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

pub use command::Command;
pub use error::AlertError;

use crate::config;
use crate::records::Record;
use command::Outcome;
use follow::Follower;
use state::State;

/// How often the log is looked at.
const POLL: Duration = Duration::from_secs(1);
/// How often the place is kept where nothing was to be told; what is read again is not told again.
const KEEP: Duration = Duration::from_mins(1);
/// How often a command that fails is run for one record.
const TRIES: u32 = 5;
/// How long is waited before it is run again; twice as long each time.
const PAUSE: Duration = Duration::from_secs(1);

/// What is followed, and what is run.
#[derive(Clone, Debug)]
pub struct Request {
    /// The log, `-` for standard input; the configured one where there is none.
    pub log: Option<PathBuf>,
    /// The configuration file of the service.
    pub config: Option<PathBuf>,
    /// Where the place is kept.
    pub state: PathBuf,
    /// Ends with what is there, instead of waiting for more.
    pub is_once: bool,
    /// What is run.
    pub command: Command,
}

/// Follows the log for ever, or to the end of what is there.
///
/// # Errors
/// The log cannot be read, or the place cannot be kept.
pub fn run(request: &Request) -> Result<(), AlertError> {
    request.command.check()?;
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

/// Tells what is told by a stream, which nobody tells again.
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

/// Runs the command if a line is a record to tell that was not told yet; gives whether it was one.
fn heed(line: &[u8], state: &mut State, command: &Command) -> bool {
    let record = std::str::from_utf8(line).ok().and_then(Record::read);
    let Some(record) = record.filter(|record| matches!(record.kind().as_str(), "quota" | "gap")) else { return false };
    let key = key(&record);
    if state.is_told(&key) {
        return false;
    }
    let mut pause = PAUSE;
    for number in 1..=TRIES {
        match command.run(&record) {
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

/// What no two records have in common, in whichever format.
fn key(record: &Record) -> String {
    let parts = ["type", "host", "epoch", "seq", "quota", "percent", "from", "to"];
    let parts = parts.iter().filter_map(|name| Some(format!("{name}={}", record.text(name)?)));
    parts.collect::<Vec<_>>().join(" ")
}
