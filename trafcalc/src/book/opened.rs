//! Begins an epoch: writes what the service brings to the book, and reads what the book knows.

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

/// The cause of a gap after an epoch that ended cleanly.
pub(super) const STOPPED: &str = "the service was stopped";

/// The greatest number that a column holds, at which sums saturate.
const MOST: u64 = i64::MAX.cast_unsigned();

/// Which book, and who opens it.
#[derive(Clone, Debug)]
pub struct Opening<'a> {
    /// Where the book is. Its folder is created if it is missing.
    pub path: &'a Path,
    /// The zone of hours and days.
    pub zone: TimeZone,
    /// The day on which months of quotas begin, 1 to 28, and months of answers unless a question names another day.
    pub billing_day: i8,
    /// The id of this boot; the kernel counters do not survive a reboot.
    pub boot_id: &'a str,
    /// The program's version.
    pub version: &'a str,
    /// The settings that decide what is counted.
    pub settings: &'a str,
    /// The sinks that write what is booked. A sink that was here before and is missing now is forgotten.
    pub sinks: &'a [&'a str],
    /// The time by the wall clock.
    pub now: SystemTime,
}

/// What a book knows when it is opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// This epoch. Greater than all before; normally the time in milliseconds since 1970, so that a book begun anew
    /// does not repeat the numbers of the former book.
    pub epoch: i64,
    /// When the book was begun; totals count from then.
    pub begun: SystemTime,
    /// What each account moved since the book was begun.
    pub totals: Vec<(AccountKey, Bytes)>,
    /// The last known name of each user. A user known to have no name is left out.
    pub names: Vec<(u32, String)>,
    /// The kernel counters that were booked last.
    pub baseline: Option<Baseline>,
    /// The last report in the book.
    pub last: Option<Last>,
    /// The cursors of connections that were open at the last report, if the service ended with it and the host has not
    /// rebooted.
    pub open: OpenNotes,
    /// What was found in the place of the book and was not a sound book.
    pub set_aside: Option<SetAside>,
}

/// The last report in a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// The epoch it was counted in.
    pub epoch: i64,
    /// Its sequence number.
    pub seq: u64,
    /// When it ended.
    pub end: SystemTime,
    /// Whether it was counted since the last boot.
    pub is_of_this_boot: bool,
    /// Whether its epoch ended cleanly with it.
    pub ended: bool,
}

impl Last {
    /// Why the time after it was not counted.
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

/// The name by which readers find the zone; `None` for a zone read from a file without a name. An unknown zone behaves
/// as UTC.
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
            // The sum may exceed what a column holds, so it is not computed in SQL.
            Some((last, sum)) if *last == key => {
                sum.sent = (sum.sent + bytes.sent).min(MOST);
                sum.received = (sum.received + bytes.received).min(MOST);
            }
            _ => totals.push((key, bytes)),
        }
    }
    Ok(totals)
}

/// Leaves out users without a name, whom the book names by their number.
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
