//! Reads the book. A reader needs no privilege except to read the files, may run while a service writes the book, and
//! never blocks it.
//!
//! A [`Reader`] is one transaction: everything it reads is as of the moment it was opened.

use std::collections::HashSet;
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
use super::error::{BookError, Trouble, of_database};
use super::schema::{APPLICATION_ID, BUSY_TIMEOUT, file_error, known_version};
use super::{fine, layout};
use crate::capture::Bytes;

/// The length of a table's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Five minutes.
    Fine,
    /// Hours of the zone of the epoch that wrote them.
    Hour,
    /// Days of that zone.
    Day,
}

/// Whether a row of a table has one account or all.
#[derive(Clone, Copy)]
enum OfRow {
    One,
    All,
}

/// A table whose rows are keyed by the second they begin at.
struct BySecond {
    /// The column of `recent_row` with that second.
    recent: &'static str,
    /// The columns and the name of the table.
    past: &'static str,
    of_row: OfRow,
}

const FINE: BySecond = BySecond { recent: "fine_s", past: "start_s, accounts FROM past_fine", of_row: OfRow::All };
const HOUR: BySecond =
    BySecond { recent: "hour_s", past: "start_s, account, sent, received FROM past_hour", of_row: OfRow::One };

/// A book, open to be read.
pub struct Reader {
    path: PathBuf,
    connection: Connection,
}

impl Reader {
    /// Opens the book as it is now. Does not check its pages: that takes as long as reading all of it.
    pub fn open(path: &Path) -> Result<Self, BookError> {
        // SQLite does not say why opening fails. Closed again before SQLite takes locks: closing any descriptor of the
        // file would release them.
        look(path).map_err(|source| file_error(path, "opening it", source))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "temp_store", "MEMORY")?;
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
        let version = match known_version(&self.path, version) {
            _ if is_empty => return Err(BookError::Empty { path }),
            _ if application != APPLICATION_ID => return Err(BookError::Foreign { path }),
            known => known?,
        };
        match layout::difference(&self.connection, version) {
            Ok(Some(what)) => Err(BookError::OtherLayout { path, what }),
            Ok(None) => Ok(()),
            Err(source) => Err(read_error(&path, source)),
        }
    }

    /// What is wrong in the file, a sentence each. Reads the whole file, which takes seconds if it is large.
    pub fn damage(&self) -> Result<Vec<String>, BookError> {
        let mut damage: Vec<String> = self.list("PRAGMA integrity_check(10)", |row| row.get(0))?;
        damage.retain(|sentence| sentence != "ok");
        let foreign = self.list("PRAGMA foreign_key_check", |row| row.get::<_, String>(0))?;
        damage.extend(
            foreign.into_iter().map(|table| format!("a row of {table} is of an account or life that is not there")),
        );
        // SQLite cannot check the JSON of five-minute rows, nor account numbers in tables without a foreign key.
        let known: HashSet<i64> = self.list("SELECT id FROM account", |row| row.get(0))?.into_iter().collect();
        let mut unknown = vec![("fine", 0)];
        let read = self.rows_by_second(&FINE, &(i64::MIN..i64::MAX), |_, account, _| {
            unknown[0].1 += i64::from(!known.contains(&account));
        });
        let corrupt = read.err().map(corruption).transpose().map_err(|source| read_error(&self.path, source))?;
        if damage.is_empty() {
            damage.extend(corrupt);
        }
        for table in ["past_hour", "past_day", "past_total"] {
            let sql = format!("SELECT count(*) FROM {table} WHERE account NOT IN (SELECT id FROM account)");
            unknown.push((table, self.number(&sql)?));
        }
        let unknown = unknown.into_iter().filter(|(_, number)| *number > 0);
        damage.extend(
            unknown.map(|(table, number)| format!("{number} figures of {table} are of an account that is not there")),
        );
        Ok(damage)
    }

    /// All accounts, each with its number.
    pub fn accounts(&self) -> Result<Vec<(i64, AccountKey)>, BookError> {
        self.list("SELECT id, kind, uid, user, program, unit, class FROM account", |row| {
            let (program, unit, class) = (row.get(4)?, row.get(5)?, row.get(6)?);
            let key = AccountKey { kind: kind(row.get(1)?), uid: row.get(2)?, user: row.get(3)?, program, unit, class };
            Ok((row.get(0)?, key))
        })
    }

    /// The gaps that overlap `period`, in order.
    pub fn gaps(&self, period: &Range<i64>) -> Result<Vec<Gap>, BookError> {
        let mut gaps = self.between_logs(period)?;
        gaps.extend(self.booked_gaps(period)?);
        Ok(gaps)
    }

    /// The same without the times between imported logs, which the next import can change.
    pub fn booked_gaps(&self, period: &Range<i64>) -> Result<Vec<Gap>, BookError> {
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

    /// Calls `each` with the rows that begin within `range`, ordered by beginning: beginning, account, bytes. Daily
    /// rows begin with the days of `zone`.
    pub fn rows(
        &self,
        tier: Tier,
        range: &Range<i64>,
        zone: &TimeZone,
        each: impl FnMut(i64, i64, Bytes),
    ) -> Result<(), BookError> {
        let read = match tier {
            Tier::Fine => self.rows_by_second(&FINE, range, each),
            Tier::Hour => self.rows_by_second(&HOUR, range, each),
            Tier::Day => self.rows_by_date(range, zone, each),
        };
        read.map_err(|source| read_error(&self.path, source))
    }

    /// Reads the past rows before the recent one, then the recent row, then the rest: a view that merges both takes
    /// twice as long.
    fn rows_by_second(
        &self,
        table: &BySecond,
        range: &Range<i64>,
        mut each: impl FnMut(i64, i64, Bytes),
    ) -> rusqlite::Result<()> {
        let mut read = |sql: &str, of_row: OfRow, from: i64, to: i64| -> rusqlite::Result<()> {
            let mut ask = self.connection.prepare(sql)?;
            let mut rows = ask.query([from, to])?;
            while let Some(row) = rows.next()? {
                match of_row {
                    OfRow::One => each(row.get(0)?, row.get(1)?, Bytes { sent: row.get(2)?, received: row.get(3)? }),
                    OfRow::All => {
                        let start_s = row.get(0)?;
                        fine::read(start_s, row.get_ref(1)?, |account, sent, received| {
                            let bytes = Bytes { sent: sent.unsigned_abs(), received: received.unsigned_abs() };
                            each(start_s, account, bytes);
                        })?;
                    }
                }
            }
            Ok(())
        };
        let &BySecond { recent, past, of_row } = table;
        let sql = format!("SELECT {recent} FROM recent_row WHERE {recent} >= ?1 AND {recent} < ?2");
        let recent_s = self.connection.query_row(&sql, [range.start, range.end], |row| row.get(0)).optional()?;
        let past = format!("SELECT {past} WHERE start_s >= ?1 AND start_s < ?2 ORDER BY start_s");
        let Some(recent_s) = recent_s else { return read(&past, of_row, range.start, range.end) };
        read(&past, of_row, range.start, recent_s)?;
        let recent = "SELECT ?1, account, sent, received FROM recent WHERE ?1 < ?2";
        read(recent, OfRow::One, recent_s, range.end)?;
        read(&past, of_row, recent_s, range.end)
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
        // Each date has many rows, so its beginning is computed once.
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

    pub(super) fn ask<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, BookError> {
        question(&self.connection).map_err(|source| read_error(&self.path, source))
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

/// The message of a corruption error; any other error is returned as it is.
fn corruption(error: rusqlite::Error) -> rusqlite::Result<String> {
    if of_database(&error) == Trouble::Corrupt { Ok(error.to_string()) } else { Err(error) }
}

/// Whether the file exists and may be read.
fn look(path: &Path) -> io::Result<()> {
    let found = std::fs::metadata(path)?;
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // Opening a FIFO would wait for a writer.
    if !found.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    File::open(path).map(drop)
}

fn read_error(path: &Path, source: rusqlite::Error) -> BookError {
    match source.sqlite_error_code() {
        // A reader must write to the `-shm` file, or find it as a writer left it.
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => BookError::Unshared { path: path.to_owned() },
        Some(ErrorCode::NotADatabase) => BookError::NoDatabase { path: path.to_owned() },
        Some(ErrorCode::DatabaseCorrupt) => BookError::Damaged { path: path.to_owned(), source },
        _ => database_error(path, "reading it", source),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn what_cannot_be_read_for_another_reason_is_no_damage() {
        let error = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("why".to_owned()));
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_IOERR, ffi::SQLITE_NOMEM, ffi::SQLITE_INTERRUPT] {
            assert!(corruption(error(code)).is_err(), "{code}");
        }
        assert_eq!(corruption(error(ffi::SQLITE_CORRUPT)).unwrap(), "why");
    }
}
