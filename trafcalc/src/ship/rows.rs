//! What is new in the book, as rows.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::{ControlFlow, Range};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::error::ShipError;
use crate::book::{AccountKey, AccountKind, BookedReport, Contents, Correction, FINE_KEPT, Gap, Reader, date_of};
use crate::capture::Bytes;
use crate::host::Host;

/// After this many rows, some 30 MB, a batch ends with the hour.
const MAX_ROWS: usize = 100_000;
/// An hour begins less than this before the five minutes of a report in it. A zone can differ from UTC by a part of an hour.
const LONGEST_HOUR_S: i64 = 7_200;
const HOUR_S: i64 = 3_600;
/// Hours that are read at once.
const WEEK_S: i64 = 7 * 24 * HOUR_S;

/// How much of a book was shipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Which book: when it was begun, in microseconds since 1970.
    pub book: i64,
    /// Its last report.
    pub report: (i64, i64),
    /// When that ended, in seconds since 1970.
    pub until_s: i64,
    /// Its last correction.
    pub correction: i64,
}

impl Position {
    /// The end of a book.
    pub fn end(reader: &Reader) -> Result<Self, ShipError> {
        let last = reader.last_report()?;
        let report = last.as_ref().map_or((0, 0), |last| (last.epoch, last.seq));
        let until_s = last.and_then(|last| Timestamp::try_from(last.end).ok()).map_or(0, Timestamp::as_second);
        let correction = all_corrections(reader)?.last().map_or(0, |last| last.id);
        Ok(Self { book: reader.begun_us()?, report, until_s, correction })
    }

    /// Whether the book of this end has lost what it had at an `earlier` one: it was replaced by an older copy.
    pub fn has_lost(self, earlier: Self, reader: &Reader) -> Result<bool, ShipError> {
        if self.book != earlier.book || earlier.report == (0, 0) {
            return Ok(false);
        }
        let may_be_removed = earlier.until_s < self.until_s.saturating_sub_unsigned(FINE_KEPT.as_secs() / 2);
        let has_lost_report = !may_be_removed && !reader.has_report(earlier.report)?;
        Ok(has_lost_report || self.report < earlier.report || self.correction < earlier.correction)
    }
}

fn all_corrections(reader: &Reader) -> Result<Vec<Correction>, ShipError> {
    Ok(reader.corrections(&(Date::MIN..Date::MAX))?)
}

/// A row. Its key is `host`, `book`, `type`, `id` and `from`; of two rows with the same key, the one with the higher revision counts.
#[derive(Serialize)]
struct Row<'a> {
    host: &'a str,
    host_name: &'a str,
    book: i64,
    r#type: &'static str,
    /// The number of the account or correction; else 0.
    id: i64,
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// The day under which it is booked, in the zone of the book.
    day: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    /// `(unattributed)` or `(other)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'static str>,
    sent_bytes: i64,
    received_bytes: i64,
    /// Why something was not counted, or was corrected.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    revision: u64,
}

/// What all rows of a batch have in common.
pub(super) struct Batch<'a> {
    pub host: &'a Host,
    /// When the book was begun, in microseconds since 1970.
    pub book: i64,
    pub revision: u64,
}

impl Batch<'_> {
    /// Writes the hours that begin within these ranges, and not before `next_s`, until there are enough rows. Returns the hour to continue
    /// with, or `None` if all were written.
    pub fn write_hours(
        &self,
        reader: &Reader,
        ranges: &[Range<i64>],
        next_s: Option<i64>,
        out: &mut dyn Write,
    ) -> Result<Option<i64>, ShipError> {
        let (zones, mut rows) = (Zones::of(&reader.contents()?), 0);
        let imported = self.imported(reader)?;
        for range in ranges {
            let mut from_s = range.start.max(next_s.unwrap_or(i64::MIN));
            while let Some(first_s) = reader.first_hour(&(from_s..range.end))? {
                let week = first_s..first_s.saturating_add(WEEK_S).min(range.end);
                let each = |start_s: i64, (id, key): (i64, AccountKey), bytes: Bytes| {
                    if rows >= MAX_ROWS && start_s != from_s {
                        return ControlFlow::Break(Ok(start_s));
                    }
                    from_s = start_s;
                    if imported.iter().any(|log| log.start < start_s + HOUR_S && start_s < log.end) {
                        return ControlFlow::Continue(());
                    }
                    rows += 1;
                    let written = zones.date(start_s).and_then(|day| {
                        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
                        let (sent_bytes, received_bytes) = (signed(bytes.sent), signed(bytes.received));
                        let row = self.row("hour", id, utc(start_s), day, Some(&key));
                        Ok(write(&Row { sent_bytes, received_bytes, ..row }, out)?)
                    });
                    written.map_or_else(|error| ControlFlow::Break(Err(error)), ControlFlow::Continue)
                };
                if let ControlFlow::Break(ended) = reader.hour_rows(&week, each)? {
                    return ended.map(Some);
                }
                from_s = week.end;
            }
        }
        Ok(None)
    }

    /// The times of imported logs. A former book of the host may have shipped them. The hour in which this book was begun is not among them.
    fn imported(&self, reader: &Reader) -> Result<Vec<Range<i64>>, ShipError> {
        let begun_s = self.book.div_euclid(1_000_000);
        let mut imported = reader.imported()?;
        for log in &mut imported {
            log.end = log.end.min(begun_s - HOUR_S + 1);
        }
        Ok(imported)
    }

    /// Writes gaps that end in or after the first of these ranges, corrections after that number, and until when the host has counted.
    pub fn write_others(
        &self,
        reader: &Reader,
        ranges: &[Range<i64>],
        correction: i64,
        out: &mut dyn Write,
    ) -> Result<(), ShipError> {
        let contents = reader.contents()?;
        let zones = Zones::of(&contents);
        let begun_s = self.book.div_euclid(1_000_000);
        let gaps = match ranges.first() {
            Some(first) => reader.booked_gaps(&(first.start..i64::MAX / 1_000_000))?,
            None => Vec::new(),
        };
        for Gap { from, to, cause } in gaps {
            let day = zones.date(Timestamp::try_from(from).map_or(0, Timestamp::as_second))?;
            let row = self.row("gap", 0, exact(from), day, None);
            write(&Row { to: Some(exact(to)), cause: Some(shown(&cause)), ..row }, out)?;
        }
        for new in all_corrections(reader)?.iter().filter(|new| new.id > correction) {
            let row = self.row("correction", new.id, exact(new.made), new.booked.to_string(), Some(&new.key));
            let (sent_bytes, received_bytes) = (new.change.sent, new.change.received);
            write(&Row { sent_bytes, received_bytes, cause: Some(shown(&new.reason)), ..row }, out)?;
        }
        if let Some(last) = reader.last_report()? {
            let row = self.row("host", 0, utc(begun_s), zones.date(begun_s)?, None);
            write(&Row { to: Some(exact(last.end)), ..row }, out)?;
        }
        Ok(())
    }

    fn row(&self, r#type: &'static str, id: i64, from: String, day: String, of: Option<&AccountKey>) -> Row<'_> {
        let text = |part: fn(&AccountKey) -> Option<&str>| of.and_then(part).map(shown);
        Row {
            host: &self.host.id,
            host_name: &self.host.name,
            book: self.book,
            r#type,
            id,
            from,
            to: None,
            day,
            uid: of.and_then(|key| key.uid),
            user: text(|key| key.user.as_deref()),
            unit: text(|key| key.unit.as_deref()),
            program: text(|key| key.program.as_deref()),
            class: text(|key| key.class.as_deref()),
            account: of.and_then(|key| match key.kind {
                AccountKind::User => None,
                AccountKind::Unattributed => Some("(unattributed)"),
                AccountKind::Other => Some("(other)"),
            }),
            sent_bytes: 0,
            received_bytes: 0,
            cause: None,
            revision: self.revision,
        }
    }
}

fn write(row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, row)?;
    out.write_all(b"\n")
}

/// Where hours with something new begin, in seconds since 1970, in order.
pub(super) fn new_hours(reader: &Reader, since: Option<Position>) -> Result<Vec<Range<i64>>, ShipError> {
    let everything = || std::iter::once(i64::MIN..i64::MAX).collect();
    let Some(since) = since else { return Ok(everything()) };
    // Reports are removed after 35 days. Hours are kept for years.
    if !reader.has_report(since.report)? {
        return Ok(everything());
    }
    let mut slots = BTreeSet::new();
    let each = |report: BookedReport| -> ControlFlow<()> {
        slots.insert(report.row_s());
        ControlFlow::Continue(())
    };
    let _ = reader.reports_after(since.report, each)?;
    let mut ranges: Vec<Range<i64>> = Vec::new();
    for slot_s in slots {
        let range = slot_s.saturating_sub(LONGEST_HOUR_S)..slot_s.saturating_add(1);
        match ranges.last_mut() {
            Some(last) if range.start <= last.end => last.end = range.end,
            _ => ranges.push(range),
        }
    }
    Ok(ranges)
}

/// The zones of a book's hours and days, each from a second since 1970. Lives without a named zone are left out.
struct Zones(Vec<(i64, TimeZone)>);

impl Zones {
    fn of(contents: &Contents) -> Self {
        let known = |name: &str| TimeZone::get(name).ok();
        let zones = contents.lives.iter().filter_map(|life| Some((life.from_s, known(life.zone.as_deref()?)?)));
        Self(zones.collect())
    }

    fn date(&self, second: i64) -> Result<String, ShipError> {
        // The first hour of the book begins before its first life.
        let zone = self.0.iter().rev().find(|(from_s, _)| *from_s <= second).or(self.0.first());
        let (_, zone) = zone.ok_or(ShipError::NoZone)?;
        Ok(date_of(second, zone).to_string())
    }
}

fn utc(second: i64) -> String {
    Timestamp::from_second(second).unwrap_or_default().to_string()
}

fn exact(at: SystemTime) -> String {
    format!("{:.6}", Timestamp::try_from(at).unwrap_or_default())
}

/// A text without NUL, which `PostgreSQL` refuses.
fn shown(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
