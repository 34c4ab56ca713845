//! What is new in the book, as rows.

use std::io::{self, Write};
use std::ops::{ControlFlow, Range};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::error::ShipError;
use crate::book::{AccountKey, AccountKind, BookedReport, Contents, Correction, Gap, Reader, date_of};
use crate::capture::Bytes;
use crate::host::Host;

/// After this many rows, some 30 MB, a batch ends with the week.
const MAX_ROWS: usize = 100_000;
/// An hour begins at most this long before the five minutes of a report in it. A zone can differ from UTC by a part of an hour.
const LONGEST_HOUR_S: i64 = 7_200;
const HOUR_S: i64 = 3_600;
const WEEK_S: i64 = 7 * 24 * HOUR_S;

/// How much of a book was shipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Which book: when it was begun, in microseconds since 1970.
    pub book: i64,
    /// Its last report.
    pub report: (i64, i64),
    /// Its last correction.
    pub correction: i64,
}

impl Position {
    /// The end of a book.
    pub fn end(reader: &Reader) -> Result<Self, ShipError> {
        let report = reader.last_report()?.map_or((0, 0), |last| (last.epoch, last.seq));
        let correction = all_corrections(reader)?.last().map_or(0, |last| last.id);
        Ok(Self { book: reader.begun_us()?, report, correction })
    }

    /// Whether the same book has lost something since `earlier`: it was replaced by an older copy.
    pub fn is_behind(self, earlier: Self) -> bool {
        self.book == earlier.book && (self.report < earlier.report || self.correction < earlier.correction)
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
    /// Writes hours from `from_s` on, until there are enough rows. Returns the hour to continue with, or `None` if all were written.
    pub fn write_hours(&self, reader: &Reader, from_s: i64, out: &mut dyn Write) -> Result<Option<i64>, ShipError> {
        // Imported logs are of the time before, which another book of this host may have.
        let from_s = from_s.max(self.book.div_euclid(1_000_000) - HOUR_S + 1);
        let contents = reader.contents()?;
        let (zones, mut rows, mut from_s) = (Zones::of(&contents), 0, from_s);
        while rows < MAX_ROWS {
            // Week by week: the book is read from there to the end.
            let next_s = from_s.saturating_add(WEEK_S);
            let is_last = next_s > contents.until_s;
            let range = from_s..if is_last { i64::MAX } else { next_s };
            rows += self.write_week(reader, &range, &zones, out)?;
            if is_last {
                return Ok(None);
            }
            from_s = next_s;
        }
        Ok(Some(from_s))
    }

    /// Returns the number of rows.
    fn write_week(
        &self,
        reader: &Reader,
        range: &Range<i64>,
        zones: &Zones,
        out: &mut dyn Write,
    ) -> Result<usize, ShipError> {
        let mut rows = 0;
        let each = |start_s: i64, (id, key): (i64, AccountKey), bytes: Bytes| {
            rows += 1;
            let written = zones.date(start_s).and_then(|day| {
                let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
                let (sent_bytes, received_bytes) = (signed(bytes.sent), signed(bytes.received));
                let row = self.row("hour", id, utc(start_s), day, Some(&key));
                Ok(write(&Row { sent_bytes, received_bytes, ..row }, out)?)
            });
            written.map_or_else(ControlFlow::Break, ControlFlow::Continue)
        };
        match reader.hour_rows(range, each)? {
            ControlFlow::Continue(()) => Ok(rows),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// Writes gaps that were not over at `from_s`, corrections after that number, and until when the host has counted.
    pub fn write_others(
        &self,
        reader: &Reader,
        from_s: Option<i64>,
        correction: i64,
        out: &mut dyn Write,
    ) -> Result<(), ShipError> {
        let contents = reader.contents()?;
        let zones = Zones::of(&contents);
        let begun_s = self.book.div_euclid(1_000_000);
        let gaps = from_s.map(|from_s| reader.gaps(&(from_s.max(begun_s)..i64::MAX / 1_000_000))).transpose()?;
        for Gap { from, to, cause } in gaps.unwrap_or_default() {
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

/// The beginning of the first hour with something new, in seconds since 1970, or earlier; `None` if no hour has.
pub(super) fn hours_from(reader: &Reader, since: Option<Position>) -> Result<Option<i64>, ShipError> {
    let Some(since) = since else { return Ok(Some(i64::MIN)) };
    // Reports are removed after 35 days. Hours are kept for years.
    if reader.first_report()?.is_none_or(|first| since.report < first) {
        return Ok(Some(i64::MIN));
    }
    let mut first_s = None;
    let each = |report: BookedReport| -> ControlFlow<()> {
        let row_s = report.row_s();
        first_s = Some(first_s.map_or(row_s, |first_s: i64| first_s.min(row_s)));
        ControlFlow::Continue(())
    };
    let _ = reader.reports_after(since.report, each)?;
    Ok(first_s.map(|first_s| first_s.saturating_sub(LONGEST_HOUR_S)))
}

/// The zones of a book's hours and days, each from a second since 1970.
struct Zones(Vec<(i64, Option<TimeZone>)>);

impl Zones {
    fn of(contents: &Contents) -> Self {
        let known = |name: &str| TimeZone::get(name).ok();
        Self(contents.lives.iter().map(|life| (life.from_s, life.zone.as_deref().and_then(known))).collect())
    }

    fn date(&self, second: i64) -> Result<String, ShipError> {
        // The first hour of the book begins before its first life.
        let zone = self.0.iter().rev().find(|(from_s, _)| *from_s <= second).or(self.0.first());
        let zone = zone.and_then(|(_, zone)| zone.as_ref()).ok_or(ShipError::NoZone)?;
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
