//! The book for those who only read it: they need no privilege but to read its files, may come while a service writes it, and
//! hold up nobody.
//!
//! All that one [`Reader`] tells is of one moment, that of its opening: it is one transaction.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use super::accounts::{AccountKey, kind};
use super::borders::{date_of, day_row, time};
use super::commit::Gap;
use super::database_error;
use super::error::BookError;
use super::schema::{APPLICATION_ID, BUSY_TIMEOUT, file_error, known_version};
use crate::capture::Bytes;

/// How long the rows of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Five minutes.
    Fine,
    /// Hours of the zone of the life that wrote them.
    Hour,
    /// Days of that zone.
    Day,
}

/// A book, open to be read.
pub struct Reader {
    path: PathBuf,
    connection: Connection,
}

impl Reader {
    /// Opens the book as it is now. Does not check its pages: that takes as long as reading all of it.
    pub fn open(path: &Path) -> Result<Self, BookError> {
        // SQLite does not say why. Closed at once, before SQLite has locks, which that would release.
        look(path).map_err(|source| file_error(path, "opening it", source))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.execute_batch("BEGIN")?;
            Ok(connection)
        });
        let connection = opened.map_err(|source| read_error(path, source))?;
        let reader = Self { path: path.to_owned(), connection };
        reader.check()?;
        Ok(reader)
    }

    fn check(&self) -> Result<(), BookError> {
        let path = self.path.clone();
        let application = self.number("PRAGMA application_id")?;
        let version = self.number("PRAGMA user_version")?;
        let is_empty = self.number("SELECT count(*) FROM sqlite_schema")? == 0;
        match known_version(&self.path, version) {
            _ if is_empty => Err(BookError::Empty { path }),
            _ if application != APPLICATION_ID => Err(BookError::Foreign { path }),
            known => known.map(drop),
        }
    }

    /// All accounts, with the number each has in the rows.
    pub fn accounts(&self) -> Result<Vec<(i64, AccountKey)>, BookError> {
        self.list("SELECT id, kind, uid, user, program, unit FROM account", |row| {
            let (program, unit) = (row.get(4)?, row.get(5)?);
            let key = AccountKey { kind: kind(row.get(1)?), uid: row.get(2)?, user: row.get(3)?, program, unit };
            Ok((row.get(0)?, key))
        })
    }

    /// The times that were not counted and are not over before `period` or begin after it, in order.
    pub fn gaps(&self, period: &Range<i64>) -> Result<Vec<Gap>, BookError> {
        let micros = |second: i64| second.saturating_mul(1_000_000);
        let (from, to) = (micros(period.start), micros(period.end));
        let sql = format!(
            "SELECT from_us, to_us, cause FROM gap WHERE to_us > {from} AND from_us < {to} ORDER BY from_us, to_us"
        );
        self.list(&sql, |row| Ok(Gap { from: time(row.get(0)?), to: time(row.get(1)?), cause: row.get(2)? }))
    }

    /// The gaps within `period` that end no later than they begin, because the clock was set back meanwhile.
    pub fn backward_gaps(&self, period: &Range<i64>) -> Result<Vec<Gap>, BookError> {
        let micros = |second: i64| second.saturating_mul(1_000_000);
        let (from, to) = (micros(period.start), micros(period.end));
        let sql = format!(
            "SELECT from_us, to_us, cause FROM gap WHERE to_us <= from_us AND from_us >= {from} AND to_us < {to} \
             ORDER BY from_us, to_us"
        );
        self.list(&sql, |row| Ok(Gap { from: time(row.get(0)?), to: time(row.get(1)?), cause: row.get(2)? }))
    }

    /// Gives `each` the rows that begin within `range`, in the order of their beginnings: beginning, account, bytes. Those of
    /// days begin with the days of `zone`.
    pub fn rows(
        &self,
        tier: Tier,
        range: &Range<i64>,
        zone: &TimeZone,
        each: impl FnMut(i64, i64, Bytes),
    ) -> Result<(), BookError> {
        let read = match tier {
            Tier::Fine => self.rows_by_second("fine", range, each),
            Tier::Hour => self.rows_by_second("hour", range, each),
            Tier::Day => self.rows_by_date(range, zone, each),
        };
        read.map_err(|source| read_error(&self.path, source))
    }

    fn rows_by_second(
        &self,
        table: &str,
        range: &Range<i64>,
        mut each: impl FnMut(i64, i64, Bytes),
    ) -> rusqlite::Result<()> {
        let mut ask = self.connection.prepare(&format!(
            "SELECT start_s, account, sent, received FROM {table} WHERE start_s >= ?1 AND start_s < ?2 ORDER BY start_s"
        ))?;
        let mut rows = ask.query([range.start, range.end])?;
        while let Some(row) = rows.next()? {
            each(row.get(0)?, row.get(1)?, Bytes { sent: row.get(2)?, received: row.get(3)? });
        }
        Ok(())
    }

    fn rows_by_date(
        &self,
        range: &Range<i64>,
        zone: &TimeZone,
        mut each: impl FnMut(i64, i64, Bytes),
    ) -> rusqlite::Result<()> {
        let mut ask = self
            .connection
            .prepare("SELECT date, account, sent, received FROM day WHERE date >= ?1 AND date <= ?2 ORDER BY date")?;
        let date = |second: i64| date_of(second, zone).to_string();
        let mut rows = ask.query([date(range.start), date(range.end - 1)])?;
        // There are many rows of each date.
        let (mut known, mut start_s) = (String::new(), range.start);
        while let Some(row) = rows.next()? {
            let date = row.get_ref(0)?.as_str()?;
            if known != date {
                date.clone_into(&mut known);
                start_s = date.parse().map_or(range.start, |date| day_row(date, zone).start);
            }
            each(start_s, row.get(1)?, Bytes { sent: row.get(2)?, received: row.get(3)? });
        }
        Ok(())
    }

    pub(super) fn number(&self, sql: &str) -> Result<i64, BookError> {
        let asked = self.connection.query_row(sql, [], |row| row.get(0));
        asked.map_err(|source| read_error(&self.path, source))
    }

    /// The first column of the first row, unless there is none or it is NULL.
    pub(super) fn row<T: rusqlite::types::FromSql>(&self, sql: &str) -> Result<Option<T>, BookError> {
        let asked = self.connection.query_row(sql, [], |row| row.get::<_, Option<T>>(0)).optional();
        asked.map(Option::flatten).map_err(|source| read_error(&self.path, source))
    }

    pub(super) fn list<T>(
        &self,
        sql: &str,
        of_row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, BookError> {
        let asked = self.connection.prepare(sql).and_then(|mut ask| ask.query_map([], of_row)?.collect());
        asked.map_err(|source| read_error(&self.path, source))
    }
}

/// Whether there is a file that may be read.
fn look(path: &Path) -> io::Result<()> {
    let is_folder = File::open(path)?.metadata()?.is_dir();
    if is_folder { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(()) }
}

fn read_error(path: &Path, source: rusqlite::Error) -> BookError {
    match source.sqlite_error_code() {
        // Who reads has to write into the `-shm` file, or to find it as a writer left it.
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => BookError::Unshared { path: path.to_owned() },
        Some(ErrorCode::NotADatabase) => BookError::NoDatabase { path: path.to_owned() },
        Some(ErrorCode::DatabaseCorrupt) => BookError::Damaged { path: path.to_owned(), source },
        _ => database_error(path, "reading it", source),
    }
}
