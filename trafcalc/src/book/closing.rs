//! Closed months. Nothing is added to them any more, and a hash shows whether their rows are unchanged.
//!
//! A closed month is a range of days, whatever its name; each day is closed once. After a change of the billing day,
//! some days of a month may have been closed under the former one; the rest of the month is then closed alone.
//!
//! The hash is SHA-256 of a UTF-8 text with these lines, in JSON without blanks, each ended by a line feed:
//! - for the month, `["trafcalc month",1,FROM,TO,ZONE]` with its first day and the first day after it; this line comes first;
//! - for each account on each day, `["day",DATE,KIND,UID,USER,PROGRAM,UNIT,CLASS,SENT,RECEIVED]`;
//! - for each correction that counts in it,
//!   `["correction",BOOKED,DATE,MADE_US,BY_UID,KIND,UID,USER,PROGRAM,UNIT,CLASS,SENT,RECEIVED,REASON]`.
//!
//! The lines after the first are sorted by their bytes.

use std::ops::Range;
use std::time::SystemTime;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use super::borders::{date_before, day_row, micros, time};
use super::correction::{self, Correction};
use super::error::BookError;
use super::reader::Reader;

/// A closed month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Its name, `YYYY-MM`: the calendar month in which the whole month begins, even if only the rest of it was closed.
    pub month: String,
    /// Its days.
    pub dates: Range<Date>,
    /// When it was closed.
    pub at: SystemTime,
    /// The zone of its days.
    pub zone: String,
    /// Its beginning and end in seconds since 1970.
    pub seconds: Range<i64>,
    /// What was sent in it, in bytes, with its corrections.
    pub sent: i64,
    /// What was received in it, in bytes, with its corrections.
    pub received: i64,
    /// The hash of its rows, in hexadecimal digits.
    pub sha256: String,
}

/// The rows of a month, reduced to their sums and hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    sent: i64,
    received: i64,
    /// The accounts that have no name, as JSON.
    nameless: String,
    sha256: String,
}

/// A cheap fingerprint of a month's rows, to see that nothing was added: the sums, and the number of corrections.
type Glance = (i64, i64, i64);

fn texts(dates: &Range<Date>) -> [String; 2] {
    [dates.start.to_string(), dates.end.to_string()]
}

/// Reads the fingerprint of a month.
pub(super) fn glance(book: &Connection, dates: &Range<Date>) -> rusqlite::Result<Glance> {
    book.query_row(
        "SELECT ifnull(sum(sent), 0), ifnull(sum(received), 0), \
         (SELECT count(*) FROM correction WHERE booked >= ?1 AND booked < ?2) FROM day WHERE date >= ?1 AND date < ?2",
        texts(dates),
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

/// Reads all rows of a month. The accounts in `nameless` are hashed without a name; without that list, those that have
/// no name now.
pub(super) fn rows(
    book: &Connection,
    dates: &Range<Date>,
    zone: &str,
    nameless: Option<&[i64]>,
) -> rusqlite::Result<Rows> {
    let (mut lines, mut found) = (Vec::new(), Vec::new());
    let (mut sent, mut received) = (0_i64, 0_i64);
    let mut named = |account: i64, user: Option<String>| {
        let is_nameless = nameless.map_or(user.is_none(), |nameless| nameless.contains(&account));
        if is_nameless && !found.contains(&account) {
            found.push(account);
        }
        user.filter(|_| !is_nameless)
    };
    // Summed, because the book may have several rows for one account and day.
    let mut ask = book.prepare(
        "SELECT date, kind, uid, user, program, unit, class, sum(sent), sum(received), account FROM day \
         JOIN account ON account.id = account WHERE date >= ?1 AND date < ?2 GROUP BY date, account",
    )?;
    let mut all = ask.query(texts(dates))?;
    while let Some(row) = all.next()? {
        let text = |column| row.get::<_, Option<String>>(column);
        let number = |column| row.get::<_, Option<i64>>(column);
        let user = named(row.get(9)?, text(3)?);
        let line = serde_json::json!([
            "day",
            text(0)?,
            number(1)?,
            number(2)?,
            user,
            text(4)?,
            text(5)?,
            text(6)?,
            number(7)?,
            number(8)?
        ]);
        lines.push(line.to_string());
        (sent, received) = (sent.saturating_add(row.get(7)?), received.saturating_add(row.get(8)?));
    }
    for correction in correction::within(book, dates)? {
        let Correction { made, by_uid, date, booked, account, key, change, reason, .. } = correction;
        let user = named(account, key.user);
        let (program, unit, class) = (key.program.as_deref(), key.unit.as_deref(), key.class.as_deref());
        let line = serde_json::json!([
            "correction",
            booked.to_string(),
            date.to_string(),
            micros(made),
            by_uid,
            key.kind as i64,
            key.uid,
            user,
            program,
            unit,
            class,
            change.sent,
            change.received,
            reason
        ]);
        lines.push(line.to_string());
        (sent, received) = (sent.saturating_add(change.sent), received.saturating_add(change.received));
    }
    lines.sort_unstable();
    let mut hash = Sha256::new();
    let heading =
        serde_json::json!(["trafcalc month", 1, dates.start.to_string(), dates.end.to_string(), zone]).to_string();
    for line in [heading].iter().chain(&lines) {
        hash.update(line);
        hash.update("\n");
    }
    let sha256 = hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    Ok(Rows { sent, received, nameless: serde_json::json!(found).to_string(), sha256 })
}

/// Closes a month. The caller has checked that nothing was added since `rows` were read, and ends the transaction.
pub(super) fn close(
    book: &Connection,
    (month, dates): (&str, &Range<Date>),
    zone: (&str, &TimeZone),
    rows: Rows,
    (by_uid, now): (u32, SystemTime),
) -> rusqlite::Result<Closed> {
    let seconds = day_row(dates.start, zone.1).start..day_row(dates.end, zone.1).start;
    let [from, to] = texts(dates);
    let Rows { sent, received, nameless, sha256 } = rows;
    book.execute(
        "INSERT INTO closed VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            from,
            to,
            month,
            micros(now),
            by_uid,
            zone.0,
            seconds.start,
            seconds.end,
            sent,
            received,
            nameless,
            sha256
        ],
    )?;
    let (month, dates, zone) = (month.to_owned(), dates.clone(), zone.0.to_owned());
    Ok(Closed { month, dates, at: time(micros(now)), zone, seconds, sent, received, sha256 })
}

/// Whether one of these days is closed.
pub(super) fn is_closed(book: &Connection, dates: &Range<Date>) -> rusqlite::Result<bool> {
    book.prepare_cached("SELECT 1 FROM closed WHERE from_date < ?2 AND ?1 < to_date")?.exists(texts(dates))
}

/// The first of these days that are not closed, up to the next closed one; `None` if all are closed.
fn open_days(book: &Connection, dates: &Range<Date>) -> rusqlite::Result<Option<Range<Date>>> {
    let start = open_date(book, dates.start)?;
    let mut ask = book.prepare_cached("SELECT min(from_date) FROM closed WHERE from_date > ?1")?;
    let next: Option<String> = ask.query_row([start.to_string()], |row| row.get(0))?;
    let end = next.and_then(|next| next.parse().ok()).map_or(dates.end, |next| dates.end.min(next));
    Ok((start < end).then_some(start..end))
}

/// The first day after the closed months that contain `date`, if any do. Months with different billing days may
/// overlap.
fn behind_closed(book: &Connection, date: Date) -> rusqlite::Result<Option<Date>> {
    let mut ask = book.prepare_cached("SELECT max(to_date) FROM closed WHERE from_date <= ?1 AND ?1 < to_date")?;
    let to: Option<String> = ask.query_row([date.to_string()], |row| row.get(0))?;
    Ok(to.and_then(|to| to.parse().ok()).filter(|to| *to > date))
}

/// The first day at or after `date` that is in no closed month.
pub(super) fn open_date(book: &Connection, mut date: Date) -> rusqlite::Result<Date> {
    while let Some(next) = behind_closed(book, date)? {
        date = next;
    }
    Ok(date)
}

/// The moment under which something that ended at `at` is booked: the first one from `at` on that is in no closed
/// month. A month closed in another zone covers its days in that zone, and its dates in any zone.
pub(super) fn open_moment(book: &Connection, at: SystemTime, zone: &TimeZone) -> rusqlite::Result<SystemTime> {
    let mut open = at;
    let mut ask = book.prepare_cached(
        "SELECT max(to_s) FROM closed WHERE from_date <= ?1 AND ?1 < to_date OR from_s <= ?2 AND ?2 < to_s",
    )?;
    loop {
        let date = date_before(open, zone);
        let second = micros(open).saturating_sub(1).div_euclid(1_000_000);
        let to_s: Option<i64> =
            ask.query_row(params![date.to_string(), second], |row| row.get(0)).optional()?.flatten();
        let Some(to_s) = to_s else { return Ok(open) };
        let next = behind_closed(book, date)?.map_or(to_s, |next| day_row(next, zone).start);
        let begin = to_s.max(next);
        // A row contains what ended after its beginning, so the first moment is one microsecond later.
        let later = time(begin.saturating_mul(1_000_000).saturating_add(1));
        if later <= open {
            return Ok(open);
        }
        open = later;
    }
}

impl Reader {
    /// All closed months, in order.
    pub fn closed(&self) -> Result<Vec<Closed>, BookError> {
        let sql = "SELECT from_date, to_date, closed_us, zone, from_s, to_s, sent, received, sha256, month FROM closed \
                   ORDER BY from_date";
        self.list(sql, |row| {
            let date = |text: String| text.parse().unwrap_or(Date::MIN);
            Ok(Closed {
                dates: date(row.get(0)?)..date(row.get(1)?),
                at: time(row.get(2)?),
                zone: row.get(3)?,
                seconds: row.get(4)?..row.get(5)?,
                sent: row.get(6)?,
                received: row.get(7)?,
                sha256: row.get(8)?,
                month: row.get(9)?,
            })
        })
    }

    /// The first of these days that are not closed, up to the next closed one; `None` if all are closed.
    pub fn open_days(&self, dates: &Range<Date>) -> Result<Option<Range<Date>>, BookError> {
        self.ask(|book| open_days(book, dates))
    }

    /// The hash of the current rows of a closed month.
    pub fn hash(&self, closed: &Closed) -> Result<String, BookError> {
        self.ask(|book| {
            let [from, _] = texts(&closed.dates);
            let nameless: String =
                book.query_row("SELECT nameless FROM closed WHERE from_date = ?1", [from], |row| row.get(0))?;
            let nameless: Vec<i64> = serde_json::from_str(&nameless).unwrap_or_default();
            Ok(rows(book, &closed.dates, &closed.zone, Some(&nameless))?.sha256)
        })
    }
}
