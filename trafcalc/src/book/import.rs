//! Imports reports from a log, of the time before the book was begun, each once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::SystemTime;

use jiff::tz::TimeZone;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::accounts::Accounts;
use super::borders::{micros, rows_before};
use super::commit::{Gap, Moved, number};
use super::error::BookError;
use super::reader::Reader;
use super::{FINE_KEPT, HOURS_KEPT, closing, fine};

/// A report as it is in a log.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedReport {
    /// The epoch it was counted in.
    pub epoch: i64,
    /// Its sequence number.
    pub seq: u64,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What moved.
    pub moved: Vec<Moved>,
}

/// What became of the reports of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// How many were imported.
    pub reports: u64,
    /// What moved in them, sent and received.
    pub bytes: (u64, u64),
    /// How many of these bytes, both directions together, belong to users who have their number for a name.
    pub nameless_bytes: u64,
    /// How many had been imported before.
    pub known: u64,
    /// How many are of the time since the book was begun, which the book has itself.
    pub own: u64,
    /// How many are of a closed month.
    pub closed: u64,
}

impl Imported {
    /// Adds the result of a further call.
    pub(super) fn add(&mut self, next: &Self) {
        let Self { reports, bytes: (sent, received), nameless_bytes, known, own, closed } = next;
        self.reports += reports;
        self.bytes = (self.bytes.0.saturating_add(*sent), self.bytes.1.saturating_add(*received));
        self.nameless_bytes = self.nameless_bytes.saturating_add(*nameless_bytes);
        self.known += known;
        self.own += own;
        self.closed += closed;
    }
}

/// Who imports, when, and in which zone days and hours are.
#[derive(Clone, Debug)]
pub struct Import<'a> {
    /// The zone.
    pub zone: &'a TimeZone,
    /// The importing user's uid.
    pub by_uid: u32,
    /// The present time.
    pub now: SystemTime,
}

/// Reports of one epoch that follow one another without a break.
#[derive(Debug, Default)]
pub(super) struct Run {
    id: i64,
    epoch: i64,
    last_seq: i64,
    end_us: i64,
}

/// Rows of a table: its time and account, sent and received.
type Rows<K> = BTreeMap<(K, i64), (i64, i64)>;

/// Books `reports` in order; the caller ends the transaction. `run` says where the previous reports of the same log
/// ended.
pub(super) fn import(
    book: &Connection,
    import: &Import<'_>,
    run: &mut Run,
    reports: &[LoggedReport],
) -> rusqlite::Result<Imported> {
    let begun_us: i64 = book.query_row("SELECT value FROM meta WHERE key = 'begun_us'", [], |row| row.get(0))?;
    // Rows are kept for a while before the last report: a service that was stopped for long has trimmed nothing since.
    let last: Option<i64> = book
        .query_row("SELECT end_us FROM report ORDER BY epoch DESC, seq DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    let newest_s = micros(import.now).min(last.unwrap_or(begun_us)).div_euclid(1_000_000);
    let mut accounts = Accounts::default();
    let (mut fine, mut hours, mut days): (Rows<i64>, Rows<i64>, Rows<String>) = Default::default();
    let mut imported = Imported::default();
    for report in reports {
        let seq = number(report.seq);
        let middle = report.end.duration_since(report.start).map_or(report.end, |length| report.end - length / 2);
        if micros(report.end) > begun_us {
            imported.own += 1;
            continue;
        }
        let mut ask =
            book.prepare_cached("SELECT 1 FROM imported WHERE epoch = ?1 AND first_seq <= ?2 AND ?2 <= last_seq")?;
        if ask.exists(params![report.epoch, seq])? {
            imported.known += 1;
            continue;
        }
        if closing::open_moment(book, middle, import.zone)? != middle {
            imported.closed += 1;
            continue;
        }
        note(book, import, run, report)?;
        imported.reports += 1;
        let place = rows_before(middle, import.zone);
        accounts.learn_former(book, report.moved.iter().map(|moved| &moved.account))?;
        for Moved { account, bytes } in &report.moved {
            if account.has_number_for_name() {
                let both = bytes.sent.saturating_add(bytes.received);
                imported.nameless_bytes = imported.nameless_bytes.saturating_add(both);
            }
            let account = accounts.id(book, account, micros(report.end))?;
            let (sent, received) = (number(bytes.sent), number(bytes.received));
            imported.bytes =
                (imported.bytes.0.saturating_add(bytes.sent), imported.bytes.1.saturating_add(bytes.received));
            let is_kept =
                |from_s: i64, kept: std::time::Duration| from_s >= newest_s.saturating_sub_unsigned(kept.as_secs());
            if is_kept(place.fine_s, FINE_KEPT) {
                add(&mut fine, (place.fine_s, account), sent, received);
            }
            if is_kept(place.hour_s, HOURS_KEPT) {
                add(&mut hours, (place.hour_s, account), sent, received);
            }
            add(&mut days, (place.date.clone(), account), sent, received);
        }
    }
    put_fine(book, fine)?;
    put(book, "past_hour", hours)?;
    put(book, "past_day", days)?;
    Ok(imported)
}

fn add<K: Ord>(rows: &mut Rows<K>, place: (K, i64), sent: i64, received: i64) {
    let row = rows.entry(place).or_default();
    *row = (row.0.saturating_add(sent), row.1.saturating_add(received));
}

/// Writes all accounts of a five-minute row at once.
fn put_fine(book: &Connection, rows: Rows<i64>) -> rusqlite::Result<()> {
    let rows: Vec<_> = rows.into_iter().collect();
    for row in rows.chunk_by(|one, next| one.0.0 == next.0.0) {
        let moved: Vec<_> = row.iter().map(|((_, account), (sent, received))| (*account, *sent, *received)).collect();
        fine::add(book, row[0].0.0, &moved)?;
    }
    Ok(())
}

fn put<K: rusqlite::ToSql>(book: &Connection, table: &str, rows: Rows<K>) -> rusqlite::Result<()> {
    let mut put = book.prepare_cached(&format!(
        "INSERT INTO {table} VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET \
         sent = min(sent + excluded.sent, 0x7fffffffffffffff), \
         received = min(received + excluded.received, 0x7fffffffffffffff)"
    ))?;
    for ((place, account), (sent, received)) in rows {
        put.execute(params![place, account, sent, received])?;
    }
    Ok(())
}

/// Notes that a report was imported. It extends the current run if it starts where that run ended. Otherwise reports
/// between the two may be missing in this log, and a new run begins. Sequence numbers alone cannot show this, because a
/// log skips the numbers of cuts that only the book has.
fn note(book: &Connection, import: &Import<'_>, run: &mut Run, report: &LoggedReport) -> rusqlite::Result<()> {
    let (seq, from_us, to_us) = (number(report.seq), micros(report.start), micros(report.end));
    let follows = from_us.abs_diff(run.end_us) <= MOMENT_US.unsigned_abs();
    let goes_on = run.epoch == report.epoch && run.id > 0 && seq > run.last_seq && follows;
    if goes_on {
        book.prepare_cached("UPDATE imported SET last_seq = ?2, to_us = max(to_us, ?3) WHERE id = ?1")?
            .execute(params![run.id, seq, to_us])?;
        (run.last_seq, run.end_us) = (seq, to_us);
        return Ok(());
    }
    let zone = import.zone.iana_name().unwrap_or("UTC");
    book.prepare_cached(
        "INSERT INTO imported(epoch, first_seq, last_seq, from_us, to_us, zone, imported_us, by_uid) \
         VALUES(?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![report.epoch, seq, from_us, to_us, zone, micros(import.now), import.by_uid])?;
    *run = Run { id: book.last_insert_rowid(), epoch: report.epoch, last_seq: seq, end_us: to_us };
    Ok(())
}

impl Reader {
    /// The times that imported logs cover, in seconds since 1970, in order.
    pub fn imported(&self) -> Result<Vec<Range<i64>>, BookError> {
        self.list("SELECT from_us, to_us FROM imported ORDER BY from_us, to_us", |row| {
            let (from_us, to_us): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok(from_us.div_euclid(1_000_000)..to_us.saturating_add(999_999).div_euclid(1_000_000))
        })
    }

    /// The times that no imported log covers: between logs, and between the last one and the beginning of the book.
    pub(super) fn between_logs(&self, period: &Range<i64>) -> Result<Vec<Gap>, BookError> {
        let begun_us = self.number("SELECT value FROM meta WHERE key = 'begun_us'")?;
        let logs = self.list("SELECT from_us, to_us FROM imported ORDER BY from_us, to_us", |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })?;
        let mut gaps = Vec::new();
        let mut until_us = logs.first().map_or(begun_us, |log| log.0);
        for (from_us, to_us) in logs.into_iter().chain([(begun_us, begun_us)]) {
            // Logs give the length of a period in milliseconds.
            if from_us > until_us.saturating_add(MOMENT_US)
                && until_us < period.end.saturating_mul(1_000_000)
                && from_us > period.start.saturating_mul(1_000_000)
            {
                let (from, to) = (super::borders::time(until_us), super::borders::time(from_us));
                gaps.push(Gap { from, to, cause: "no log of this time was imported".to_owned() });
            }
            until_us = until_us.max(to_us);
        }
        Ok(gaps)
    }
}

/// Times this close together have nothing missing between them.
const MOMENT_US: i64 = 1_000_000;
