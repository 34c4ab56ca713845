//! The beginning of a life of the service: what it brings to the book, and what it finds there.

use std::path::Path;
use std::time::SystemTime;

use jiff::tz::TimeZone;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::accounts::{AccountKey, kind};
use super::borders::{micros, time};
use super::outbox::set_sinks;
use super::schema::{Files, SetAside};
use super::{open_notes, transact};
use crate::capture::{Baseline, Bytes, OpenNotes};

/// The cause of a gap behind a life that ended as it should.
pub(super) const STOPPED: &str = "the service was stopped";

/// The greatest number a column holds, at which sums stop.
const MOST: u64 = i64::MAX.cast_unsigned();

/// Which book, and who opens it.
#[derive(Clone, Debug)]
pub struct Opening<'a> {
    /// Where the book is. Its folder is made if it is missing.
    pub path: &'a Path,
    /// What hours and days are reckoned in.
    pub zone: TimeZone,
    /// The day on which months of quotas begin, 1 to 28, and those of answers unless they ask for another.
    pub billing_day: i8,
    /// Of this boot of the host: the kernel's counters end with it.
    pub boot_id: &'a str,
    /// The program's version.
    pub version: &'a str,
    /// The settings that decide what is counted.
    pub settings: &'a str,
    /// Who will be told what is booked. One that was here before and is no more is forgotten.
    pub sinks: &'a [&'a str],
    /// The time by the wall clock.
    pub now: SystemTime,
}

/// What is in a book that was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// This life of the service. Greater than all before; where it can be, the time in milliseconds since 1970, so that a
    /// book that was begun anew does not repeat the numbers of the former.
    pub epoch: i64,
    /// When the book was begun: totals are since then.
    pub begun: SystemTime,
    /// What each account moved since then.
    pub totals: Vec<(AccountKey, Bytes)>,
    /// The name each user had when it was last known. Not of those of whom it is known that they have none.
    pub names: Vec<(u32, String)>,
    /// The kernel's counters that were booked last.
    pub baseline: Option<Baseline>,
    /// The last report in the book.
    pub last: Option<Last>,
    /// Where the connections stood that were open then, if the service ended with it and the host was not started since.
    pub open: OpenNotes,
    /// What was in the place of the book and is none.
    pub set_aside: Option<SetAside>,
}

/// The last report in a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// The life it was counted in.
    pub epoch: i64,
    /// Its number in that life.
    pub seq: u64,
    /// When it ended.
    pub end: SystemTime,
    /// Whether it was counted since the host was started last.
    pub is_of_this_boot: bool,
    /// Whether that life ended with it.
    pub ended: bool,
}

impl Last {
    /// Why what came after it was not counted.
    #[must_use]
    pub const fn cause(&self) -> &'static str {
        match self {
            Self { ended: true, .. } => STOPPED,
            Self { is_of_this_boot: true, .. } => "the service was killed",
            _ => "the host went down",
        }
    }
}

/// Begins an epoch; a new book begins at `first`.
pub(super) fn begin(files: &mut Files, opening: &Opening<'_>, first: SystemTime) -> rusqlite::Result<Opened> {
    let set_aside = files.set_aside.clone();
    transact(&mut files.connection, |book| {
        let now_us = micros(opening.now);
        let epoch = new_epoch(book, now_us)?;
        book.execute("INSERT OR IGNORE INTO meta VALUES('begun_us', ?1)", [micros(first)])?;
        let begun_us = book.query_row("SELECT value FROM meta WHERE key = 'begun_us'", [], |row| row.get(0))?;
        let (totals, names, baseline) = (totals(book)?, names(book)?, baseline(book)?);
        let last = last(book, opening.boot_id)?;
        let is_good = last.as_ref().is_some_and(|last| last.ended && last.is_of_this_boot);
        let open = if is_good { open_notes::all(book)? } else { OpenNotes::default() };
        book.execute(
            "INSERT INTO epoch VALUES(?1, ?2, ?3, ?4, '', NULL, NULL, ?5, ?6, ?7, NULL)",
            params![
                epoch,
                opening.boot_id,
                now_us,
                opening.version,
                opening.settings,
                zone_name(&opening.zone),
                opening.billing_day
            ],
        )?;
        set_sinks(book, epoch, opening.sinks)?;
        Ok(Opened { epoch, begun: time(begun_us), totals, names, baseline, last, open, set_aside })
    })
}

/// What readers find the zone by; none has a zone that was made of a file without a name. An unknown one behaves as UTC.
fn zone_name(zone: &TimeZone) -> Option<&str> {
    if zone.is_unknown() { Some("UTC") } else { zone.iana_name() }
}

fn new_epoch(book: &Connection, now_us: i64) -> rusqlite::Result<i64> {
    let last: Option<i64> = book.query_row("SELECT max(id) FROM epoch", [], |row| row.get(0))?;
    Ok(now_us.div_euclid(1_000).max(last.unwrap_or(0) + 1))
}

fn totals(book: &Connection) -> rusqlite::Result<Vec<(AccountKey, Bytes)>> {
    let mut ask = book.prepare(
        "SELECT kind, uid, user, program, unit, account.class, sent, received FROM account JOIN total ON account = account.id \
         ORDER BY account.id",
    )?;
    let mut rows = ask.query([])?;
    let mut totals: Vec<(AccountKey, Bytes)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (program, unit, class) = (row.get(3)?, row.get(4)?, row.get(5)?);
        let key = AccountKey { kind: kind(row.get(0)?), uid: row.get(1)?, user: row.get(2)?, program, unit, class };
        let bytes = Bytes { sent: row.get(6)?, received: row.get(7)? };
        match totals.last_mut() {
            // Its sum may be more than a column holds, so the book does not add up.
            Some((last, sum)) if *last == key => {
                sum.sent = (sum.sent + bytes.sent).min(MOST);
                sum.received = (sum.received + bytes.received).min(MOST);
            }
            _ => totals.push((key, bytes)),
        }
    }
    Ok(totals)
}

/// A user without a name is in the book under the number.
fn names(book: &Connection) -> rusqlite::Result<Vec<(u32, String)>> {
    book.prepare("SELECT uid, user FROM uid WHERE user <> CAST(uid AS TEXT)")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn baseline(book: &Connection) -> rusqlite::Result<Option<Baseline>> {
    let map =
        book.query_row("SELECT value FROM meta WHERE key = 'map'", [], |row| row.get::<_, String>(0)).optional()?;
    let Some(map) = map else { return Ok(None) };
    let rows = book
        .prepare("SELECT row, sent, received FROM baseline ORDER BY row")?
        .query_map([], |row| Ok((row.get(0)?, Bytes { sent: counter(row, 1)?, received: counter(row, 2)? })))?
        .collect::<Result<_, _>>()?;
    Ok(Some(Baseline { map: map.into(), rows }))
}

fn counter(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

fn last(book: &Connection, boot_id: &str) -> rusqlite::Result<Option<Last>> {
    book.query_row(
        "SELECT epoch, seq, end_us, boot_id = ?1, ended_us IS NOT NULL FROM report JOIN epoch ON epoch.id = report.epoch \
         ORDER BY epoch DESC, seq DESC LIMIT 1",
        [boot_id],
        |row| {
            Ok(Last {
                epoch: row.get(0)?,
                seq: row.get(1)?,
                end: time(row.get(2)?),
                is_of_this_boot: row.get(3)?,
                ended: row.get(4)?,
            })
        },
    )
    .optional()
}
