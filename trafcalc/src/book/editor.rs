//! Changes that a person makes to the book, with or without a running service. Each change is one short transaction, so
//! the service waits for milliseconds at most; anything that takes long is read before the transaction.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{Connection, OpenFlags};

use super::closing::{self, Closed};
use super::correction::{self, NewCorrection};
use super::error::BookError;
use super::import::{self, Import, Imported, LoggedReport, Run};
use super::persist_wal::persist_wal;
use super::reader::Reader;
use super::schema::{self, MIGRATIONS};
use super::{database_error, transact};

/// How long to wait for the service, which writes each report in one short transaction.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the rows of a month are read again because they changed meanwhile. No traffic moves in it any more.
const MAX_TRIES: u32 = 5;

/// A book, open for changes.
pub struct Editor {
    path: PathBuf,
    connection: Connection,
}

impl Editor {
    /// Opens the book, which must exist and have this version's schema.
    pub fn open(path: &Path) -> Result<Self, BookError> {
        // A file that is no book gives the same errors as for readers.
        let version = Reader::open(path)?.number("PRAGMA user_version")?;
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        if version != known {
            return Err(BookError::Older { path: path.to_owned(), found: version, known });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.busy_timeout(PATIENCE)?;
            persist_wal(&connection)?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            Ok(connection)
        });
        let connection = opened.map_err(|source| database_error(path, "opening it", source))?;
        Ok(Self { path: path.to_owned(), connection })
    }

    /// Notes a correction; returns its number and the day under which it is booked, or `None` if it would take away
    /// more than there is.
    pub fn correct(&mut self, new: &NewCorrection) -> Result<Option<(i64, Date)>, BookError> {
        let done = transact(&mut self.connection, |book| correction::put(book, new));
        done.map_err(|source| database_error(&self.path, "noting a correction", source))
    }

    /// Imports a log.
    pub fn import<'a>(&'a mut self, import: &'a Import<'a>) -> Importing<'a> {
        Importing { editor: self, import, run: Run::default() }
    }

    /// Closes these days, in which nothing moves any more, under the name of their month; returns `None` if one of them
    /// is closed already.
    pub fn close(
        &mut self,
        month: &str,
        dates: &Range<Date>,
        zone: &TimeZone,
        by_uid: u32,
        now: SystemTime,
    ) -> Result<Option<Closed>, BookError> {
        let done = close(&mut self.connection, (month, dates), zone, (by_uid, now));
        done.map_err(|source| database_error(&self.path, "closing a month", source))
    }
}

/// An import of one log, in several calls.
pub struct Importing<'a> {
    editor: &'a mut Editor,
    import: &'a Import<'a>,
    run: Run,
}

impl Importing<'_> {
    /// Books the next reports of the log, all of them or none, and adds the result to `all`.
    pub fn book(&mut self, reports: &[LoggedReport], all: &mut Imported) -> Result<(), BookError> {
        let (import, run) = (self.import, &mut self.run);
        let done = transact(&mut self.editor.connection, |book| import::import(book, import, run, reports));
        let done = done.map_err(|source| database_error(&self.editor.path, "importing a log", source))?;
        all.add(&done);
        Ok(())
    }
}

fn close(
    connection: &mut Connection,
    (month, dates): (&str, &Range<Date>),
    zone: &TimeZone,
    by: (u32, SystemTime),
) -> rusqlite::Result<Option<Closed>> {
    let name = zone.iana_name().unwrap_or("UTC");
    for is_last in (1..=MAX_TRIES).map(|number| number == MAX_TRIES) {
        let (rows, seen) = {
            let reading = connection.unchecked_transaction()?;
            (closing::rows(&reading, dates, name, None)?, closing::glance(&reading, dates)?)
        };
        let transaction = schema::write(connection)?;
        if closing::is_closed(&transaction, dates)? {
            return Ok(None);
        }
        if is_last || closing::glance(&transaction, dates)? == seen {
            // After as many changes as tries, the rows are read within the write transaction, which keeps others from
            // adding.
            let rows = if is_last { closing::rows(&transaction, dates, name, None)? } else { rows };
            let closed = closing::close(&transaction, (month, dates), (name, zone), rows, by)?;
            transaction.commit()?;
            return Ok(Some(closed));
        }
    }
    Ok(None)
}
