//! Corrections that a person makes to what was counted. They are stored beside the measured bytes, which never change.

use std::ops::Range;
use std::time::SystemTime;

use jiff::civil::Date;
use rusqlite::{Connection, params};

use super::accounts::{AccountKey, Accounts, kind};
use super::borders::{micros, time};
use super::closing;
use super::error::BookError;
use super::reader::Reader;

/// A correction, before it is in the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCorrection {
    /// An account of a user, with neither unit nor program, and with a class if its bytes have one.
    pub account: AccountKey,
    /// The day that was counted wrongly.
    pub date: Date,
    /// By how much, in bytes.
    pub change: Change,
    /// Why.
    pub reason: String,
    /// The uid of the person who makes it.
    pub by_uid: u32,
    /// When.
    pub made: SystemTime,
}

/// By how much figures change, in bytes; negative if too much was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// What was sent.
    pub sent: i64,
    /// What was received.
    pub received: i64,
}

/// A correction in the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// Its number.
    pub id: i64,
    /// When it was made.
    pub made: SystemTime,
    /// By whom.
    pub by_uid: u32,
    /// The day that was counted wrongly.
    pub date: Date,
    /// The day under which it is booked; not `date` if the month of `date` was closed.
    pub booked: Date,
    /// The row of the account whose bytes it changes.
    pub account: i64,
    /// The key of that account.
    pub key: AccountKey,
    /// By how much.
    pub change: Change,
    /// Why.
    pub reason: String,
}

/// What a user's accounts of one class, or of none, moved on a day, including all corrections of that day.
fn of_day(book: &Connection, user: &AccountKey, date: Date) -> rusqlite::Result<Change> {
    book.query_row(
        "SELECT ifnull(sum(sent), 0), ifnull(sum(received), 0) FROM (
             SELECT account, sent, received FROM day WHERE date = ?3
             UNION ALL SELECT account, sent, received FROM correction WHERE date = ?3
         ) JOIN account ON account.id = account WHERE kind = 0 AND uid IS ?1 AND user IS ?2 AND class IS ?4",
        params![user.uid, user.user, date.to_string(), user.class.as_deref()],
        |row| Ok(Change { sent: row.get(0)?, received: row.get(1)? }),
    )
}

impl Change {
    /// Whether this takes away more than a day with `counted` has.
    #[must_use]
    pub fn is_too_much(self, counted: Self) -> bool {
        let lacks = |change: i64, counted: i64| change < 0 && counted.saturating_add(change) < 0;
        lacks(self.sent, counted.sent) || lacks(self.received, counted.received)
    }
}

/// Notes a correction; returns its number and the day under which it is booked, or `None` if it would take away more
/// than there is. The caller ends the transaction.
pub(super) fn put(book: &Connection, new: &NewCorrection) -> rusqlite::Result<Option<(i64, Date)>> {
    if new.change.is_too_much(of_day(book, &new.account, new.date)?) {
        return Ok(None);
    }
    let account = Accounts::default().id(book, &new.account, micros(new.made))?;
    let booked = closing::open_date(book, new.date)?;
    let Change { sent, received } = new.change;
    book.execute(
        "INSERT INTO correction(made_us, by_uid, date, booked, account, sent, received, reason) \
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            micros(new.made),
            new.by_uid,
            new.date.to_string(),
            booked.to_string(),
            account,
            sent,
            received,
            new.reason
        ],
    )?;
    Ok(Some((book.last_insert_rowid(), booked)))
}

/// The corrections booked under these days, in the order in which they were made.
pub(super) fn within(book: &Connection, booked: &Range<Date>) -> rusqlite::Result<Vec<Correction>> {
    let date = |text: String| text.parse().unwrap_or(Date::MIN);
    book.prepare_cached(
        "SELECT correction.id, made_us, by_uid, date, booked, account, sent, received, reason, kind, uid, user, program, unit, class \
         FROM correction JOIN account ON account.id = account WHERE booked >= ?1 AND booked < ?2 ORDER BY correction.id",
    )?
    .query_map([booked.start.to_string(), booked.end.to_string()], |row| {
        let (program, unit, class) = (row.get(12)?, row.get(13)?, row.get(14)?);
        Ok(Correction {
            id: row.get(0)?,
            made: time(row.get(1)?),
            by_uid: row.get(2)?,
            date: date(row.get(3)?),
            booked: date(row.get(4)?),
            account: row.get(5)?,
            key: AccountKey { kind: kind(row.get(9)?), uid: row.get(10)?, user: row.get(11)?, program, unit, class },
            change: Change { sent: row.get(6)?, received: row.get(7)? },
            reason: row.get(8)?,
        })
    })?
    .collect()
}

impl Reader {
    /// The corrections booked under these days, in the order in which they were made.
    pub fn corrections(&self, booked: &Range<Date>) -> Result<Vec<Correction>, BookError> {
        self.ask(|book| within(book, booked))
    }

    /// The classes of networks in which something moved on a day, in order.
    pub fn classes_of_day(&self, date: Date) -> Result<Vec<String>, BookError> {
        let sql = format!(
            "SELECT DISTINCT class FROM day JOIN account ON account.id = account \
             WHERE date = '{date}' AND class IS NOT NULL ORDER BY class"
        );
        self.list(&sql, |row| row.get(0))
    }

    /// What a user's accounts of one class, or of none, moved on a day, including all corrections of that day.
    pub fn of_day(&self, user: &AccountKey, date: Date) -> Result<Change, BookError> {
        self.ask(|book| of_day(book, user, date))
    }
}
