//! `trafcalc ship`: hands what is new in the book to a command that puts it into a database of many hosts.
//!
//! The command gets rows on standard input, one JSON object a line, and accepts them by exiting with 0. A row is never a difference: it
//! has everything that one account moved in one hour, and replaces the row with the same key and a lower revision. So rows may be
//! repeated, and arrive in any order. It is a separate process without privileges that reads only the book, so a database that does not
//! answer delays nothing.

mod error;
mod rows;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

pub use error::ShipError;

use crate::answer;
use crate::book::Reader;
use crate::command::{Command, Outcome};
use crate::host::Host;
use crate::lock::{Lock, NotLocked};
use crate::state_file;
use rows::{Batch, Position};

/// What is shipped, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// The book; the configured one if `None`.
    pub book: Option<PathBuf>,
    /// The configuration file of the service.
    pub config: Option<PathBuf>,
    /// Identifies this host; a hash of its machine id if `None`.
    pub host: Option<String>,
    /// The folder that keeps how far the book was shipped.
    pub state: PathBuf,
    /// How often.
    pub every: Duration,
    /// Whether to ship once, instead of for ever.
    pub is_once: bool,
    /// The command.
    pub command: Command,
}

/// How far was shipped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Everything up to here was accepted.
    accepted: Option<Position>,
    /// What is being shipped in several batches.
    unfinished: Option<Unfinished>,
    /// The last revision of a batch.
    revision: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Unfinished {
    /// The end of the book when its first batch was made.
    end: Position,
    /// The first hour of the next batch.
    next_s: i64,
}

/// Ships for ever, or once.
///
/// # Errors
/// There is nothing to ship or to ship it with, or, if once, the command has not accepted it.
pub fn run(request: &Request) -> Result<(), ShipError> {
    if !request.command.is_program() {
        return Err(ShipError::NoCommand(request.command.program.clone()));
    }
    let book = answer::book_path(request.book.as_ref(), request.config.as_ref())?;
    let host = Host::this(request.host.as_deref()).map_err(ShipError::NoHost)?;
    let _lock = lock(&request.state)?;
    let shipper = Shipper { book, host, folder: &request.state, command: &request.command };
    if request.is_once {
        return shipper.ship();
    }
    loop {
        // Also before the first time: all hosts may have been started at once.
        thread::sleep(pause(SystemTime::now(), request.every, shipper.host.spread()));
        match shipper.ship() {
            Err(error) if error.is_temporary() => {
                tracing::warn!("{error}; the next try is in {} s", request.every.as_secs());
            }
            done => done?,
        }
    }
}

/// Locks the state, so that no two processes use it.
fn lock(folder: &Path) -> Result<Lock, ShipError> {
    let failed = |source| ShipError::State { path: folder.to_owned(), doing: "using it", source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let found = fs::metadata(folder).map_err(failed)?;
    let is_own = found.uid() == 0 || found.uid() == nix::unistd::geteuid().as_raw();
    if !is_own || found.mode() & 0o022 != 0 {
        return Err(failed(io::Error::other("other users may write to it")));
    }
    Lock::take(&folder.join("lock")).map_err(|why| match why {
        NotLocked::Failed(source) => failed(source),
        NotLocked::Taken => ShipError::InUse(folder.to_owned()),
        NotLocked::Foreign(uid) => failed(io::Error::other(format!("its lock belongs to user {uid}"))),
    })
}

/// Time until the next multiple of `every`, shifted by a part of it that differs between hosts, because they share a database.
fn pause(now: SystemTime, every: Duration, spread: u64) -> Duration {
    let every_ms = every.as_millis().max(1);
    let now_ms = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let shift_ms = u128::from(spread) % every_ms;
    let left_ms = every_ms - (now_ms + every_ms - shift_ms) % every_ms;
    Duration::from_millis(u64::try_from(left_ms).unwrap_or(u64::MAX))
}

struct Shipper<'a> {
    book: PathBuf,
    host: Host,
    folder: &'a Path,
    command: &'a Command,
}

impl Shipper<'_> {
    /// Ships what is new.
    fn ship(&self) -> Result<(), ShipError> {
        let mut state = self.state()?;
        loop {
            let reader = Reader::open(&self.book)?;
            let end = Position::end(&reader)?;
            if let Some(accepted) = state.accepted
                && end.has_lost(accepted, &reader)?
            {
                return Err(ShipError::OlderBook(self.book.clone(), end.book));
            }
            let since = state.accepted.filter(|accepted| accepted.book == end.book);
            if since == Some(end) {
                return Ok(());
            }
            // The book may have grown meanwhile. What has changed in hours that were shipped already is new the next time.
            let unfinished = state.unfinished.filter(|unfinished| unfinished.end.book == end.book);
            let end = unfinished.map_or(end, |unfinished| unfinished.end);
            // Saved before rows have it, so that no two batches have the same revision.
            state.revision = next_revision(state.revision, SystemTime::now());
            self.save(&state)?;
            let next_s =
                self.hand_over(reader, since, unfinished.map(|unfinished| unfinished.next_s), end, state.revision)?;
            state.unfinished = next_s.map(|next_s| Unfinished { end, next_s });
            if next_s.is_none() {
                state.accepted = Some(end);
            }
            self.save(&state)?;
            if next_s.is_none() {
                return Ok(());
            }
        }
    }

    /// Hands a batch to the command. Returns the first hour that is left.
    fn hand_over(
        &self,
        reader: Reader,
        since: Option<Position>,
        next_s: Option<i64>,
        end: Position,
        revision: u64,
    ) -> Result<Option<i64>, ShipError> {
        let path = self.folder.join("rows.json");
        let failed = |doing| {
            let path = path.clone();
            move |source| ShipError::State { path, doing, source }
        };
        let ranges = rows::new_hours(&reader, since)?;
        let mut file = nameless(&path).map_err(failed("writing rows"))?;
        let mut out = BufWriter::new(&file);
        let batch = Batch { host: &self.host, book: end.book, revision };
        let left_s = batch.write_hours(&reader, &ranges, next_s, &mut out)?;
        if left_s.is_none() {
            batch.write_others(&reader, &ranges, since.map_or(0, |since| since.correction), &mut out)?;
        }
        out.flush().map_err(failed("writing rows"))?;
        drop(out);
        // An open reader keeps the service from cutting back its write-ahead log.
        drop(reader);
        file.rewind().map_err(failed("reading rows"))?;
        match self.command.run([], Stdio::from(file)) {
            Outcome::Done => Ok(left_s),
            outcome => Err(ShipError::NotAccepted { command: self.command.clone(), outcome }),
        }
    }

    fn state_path(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    fn state(&self) -> Result<State, ShipError> {
        let path = self.state_path();
        let read = state_file::read(&path).and_then(|state: State| {
            // Databases have numbers of 63 bits.
            let is_possible = i64::try_from(state.revision).is_ok();
            if is_possible { Ok(state) } else { Err(io::Error::new(ErrorKind::InvalidData, "an impossible revision")) }
        });
        match read {
            Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
                tracing::warn!("{}: {error}; everything is shipped again", path.display());
                Ok(State::default())
            }
            read => read.map_err(|source| ShipError::State { path, doing: "reading it", source }),
        }
    }

    fn save(&self, state: &State) -> Result<(), ShipError> {
        let path = self.state_path();
        state_file::replace(&path, state).map_err(|source| ShipError::State { path, doing: "saving it", source })
    }
}

/// A new file without a name, so that nobody can put another one in its place, and that is gone when it is closed.
fn nameless(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

/// Higher than all revisions before, also if the state was lost, unless the clock was ahead then.
fn next_revision(last: u64, now: SystemTime) -> u64 {
    let now_ms = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    u64::try_from(now_ms).unwrap_or(u64::MAX).max(last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_ms(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn hosts_ship_at_different_times_and_each_at_its_own() {
        let every = Duration::from_mins(5);
        for (spread, now_ms, left_ms) in [
            (0, 0, 300_000),
            (0, 1, 299_999),
            (7, 0, 7),
            (7, 6, 1),
            (7, 7, 300_000),
            (300_007, 1_200_008, 299_999),
            (u64::MAX, 0, u64::MAX % 300_000),
        ] {
            assert_eq!(pause(at_ms(now_ms), every, spread), Duration::from_millis(left_ms), "{spread} {now_ms}");
        }
    }

    #[test]
    fn no_revision_comes_twice_even_if_the_clock_is_set_back() {
        assert_eq!(next_revision(0, at_ms(1_000)), 1_000);
        assert_eq!(next_revision(1_000, at_ms(1_000)), 1_001);
        assert_eq!(next_revision(1_001, at_ms(7)), 1_002);
    }
}
