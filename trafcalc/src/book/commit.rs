//! Books one report: all of it in one transaction, or nothing.

use std::time::{Duration, SystemTime};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::accounts::{AccountKey, Accounts};
use super::borders::{date_before, micros, rows_before};
use super::{closing, late, open_notes, recent};
use crate::capture::{Baseline, Bytes, OpenNotes};

/// A report to be booked.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Its number in this epoch; none is used twice.
    pub seq: u64,
    /// When it began, by the wall clock.
    pub start: SystemTime,
    /// When it ended. Reports must be cut at each [border](super::next_border), because the bytes go into the rows that
    /// contain the report's middle.
    pub end: SystemTime,
    /// How long it took, by a monotonic clock.
    pub monotonic: Duration,
    /// What moved; an account may occur more than once.
    pub moved: Vec<Moved>,
    /// The kernel counters that this was taken from.
    pub baseline: Option<Baseline>,
    /// What could not be counted, as JSON.
    pub health: String,
    /// The records for the sinks.
    pub records: Option<String>,
    /// Times that were not counted.
    pub gaps: Vec<Gap>,
    /// The cursors of open connections, when a service that keeps nothing in the kernel ends.
    pub open: OpenNotes,
    /// Whether the service has ended with this report.
    pub ended: bool,
}

/// Bytes of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Whose.
    pub account: AccountKey,
    /// How many, in this report. Sums saturate at 2^63 - 1, which a link of 100 Gbit/s reaches in 23 years.
    pub bytes: Bytes,
}

/// A time that was not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Its beginning.
    pub from: SystemTime,
    /// Its end.
    pub to: SystemTime,
    /// Why.
    pub cause: String,
}

/// Books all of `commit` except its gaps and records. Returns the date of the daily row, and whether accounts got their
/// first name. The caller ends the transaction.
pub(super) fn book(
    book: &Connection,
    epoch: i64,
    zone: &TimeZone,
    accounts: &mut Accounts,
    commit: &Commit,
) -> rusqlite::Result<(Date, bool)> {
    let has_named = accounts.learn(book, commit.moved.iter().map(|moved| &moved.account))?;
    let moved = by_account(book, accounts, commit)?;
    let sums = report(book, epoch, &moved, commit)?;
    let booked_at = booked_at(commit.start, commit.end);
    let open = closing::open_moment(book, booked_at, zone)?;
    if open != booked_at && sums != (0, 0) {
        late::note(book, (epoch, number(commit.seq)), [commit.start, commit.end], open, zone, sums)?;
    }
    recent::add(book, &rows_before(open, zone), &moved)?;
    match &commit.baseline {
        Some(read) => baseline(book, read)?,
        None => baseline(book, &Baseline { map: Baseline::ELSEWHERE.into(), rows: Vec::new() })?,
    }
    open_notes::put(book, &commit.open)?;
    if commit.ended {
        book.prepare_cached("UPDATE epoch SET ended_us = ?2 WHERE id = ?1")?
            .execute(params![epoch, micros(commit.end)])?;
    }
    Ok((date_before(open, zone), has_named))
}

pub(super) fn gaps<'a>(book: &Connection, epoch: i64, gaps: impl Iterator<Item = &'a Gap>) -> rusqlite::Result<()> {
    for Gap { from, to, cause } in gaps {
        book.prepare_cached("INSERT INTO gap VALUES(?1, ?2, ?3, ?4)")?.execute(params![
            epoch,
            micros(*from),
            micros(*to),
            cause
        ])?;
    }
    Ok(())
}

/// The moment under which a report is booked: its middle. A report made at a border comes slightly late and belongs to
/// the time before the border.
fn booked_at(start: SystemTime, end: SystemTime) -> SystemTime {
    end.duration_since(start).ok().and_then(|length| end.checked_sub(length / 2)).unwrap_or(end)
}

/// What moved, each account once, ordered by account number, as rows are on the disk.
fn by_account(book: &Connection, accounts: &mut Accounts, commit: &Commit) -> rusqlite::Result<Vec<recent::Moved>> {
    let end_us = micros(commit.end);
    let mut rows: Vec<recent::Moved> = Vec::with_capacity(commit.moved.len());
    for Moved { account, bytes } in &commit.moved {
        if !bytes.is_zero() {
            rows.push((accounts.id(book, account, end_us)?, number(bytes.sent), number(bytes.received)));
        }
    }
    rows.sort_unstable_by_key(|row| row.0);
    rows.dedup_by(|row, into| {
        let is_same = row.0 == into.0;
        if is_same {
            *into = (into.0, into.1.saturating_add(row.1), into.2.saturating_add(row.2));
        }
        is_same
    });
    Ok(rows)
}

/// Writes the report's own row; returns what moved in it, sent and received.
fn report(book: &Connection, epoch: i64, moved: &[recent::Moved], commit: &Commit) -> rusqlite::Result<(i64, i64)> {
    let sent = moved.iter().fold(0_i64, |sum, row| sum.saturating_add(row.1));
    let received = moved.iter().fold(0_i64, |sum, row| sum.saturating_add(row.2));
    let monotonic_us = i64::try_from(commit.monotonic.as_micros()).unwrap_or(i64::MAX);
    let (start_us, end_us) = (micros(commit.start), micros(commit.end));
    book.prepare_cached("INSERT INTO report VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![epoch, number(commit.seq), start_us, end_us, monotonic_us, sent, received, commit.health])
        .map(|_| (sent, received))
}

fn baseline(book: &Connection, read: &Baseline) -> rusqlite::Result<()> {
    let mut ask = book.prepare_cached("SELECT value FROM meta WHERE key = 'map'")?;
    let known: Option<String> = ask.query_row([], |row| row.get(0)).optional()?;
    if known.as_deref() != Some(&*read.map) {
        book.execute("DELETE FROM baseline", [])?;
        book.execute("INSERT OR REPLACE INTO meta VALUES('map', ?1)", [&*read.map])?;
    }
    let mut keep = book.prepare_cached("INSERT OR REPLACE INTO baseline VALUES(?1, ?2, ?3)")?;
    let mut forget = book.prepare_cached("DELETE FROM baseline WHERE row = ?1")?;
    for (row, bytes) in &read.rows {
        if bytes.is_zero() {
            forget.execute([row])?;
        } else {
            keep.execute(params![row, bytes.sent.cast_signed(), bytes.received.cast_signed()])?;
        }
    }
    Ok(())
}

/// Saturates at the greatest number that a column holds.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
