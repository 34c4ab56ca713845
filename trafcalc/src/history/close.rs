//! `trafcalc close`: from then on, nothing is added to a month.

use std::fmt::Write as _;
use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{BookOf, HistoryError};
use crate::answer::{Month, days};
use crate::book::{Closed, Editor, Reader, billing_month, date_of, day_row, month_name};

/// How long after its end a month waits for its last report, in seconds.
const LONG_OVER_S: i64 = 3_600;

/// Closes it, or the rest of it if some days were closed with another billing day; returns the text for the user.
pub fn close(book: &BookOf, month: Month, by_uid: u32, now: Timestamp) -> Result<String, HistoryError> {
    let path = book.path()?;
    let reader = Reader::open(&path)?;
    let contents = reader.contents()?;
    let zone = contents.zone().ok_or(HistoryError::NoZone)?;
    let whole = month.dates(date_of(now.as_second(), &zone), contents.billing_day);
    let name = month_name(whole.start);
    let Some(dates) = reader.open_days(&whole)? else { return Err(already_closed(&reader, &name, &whole)?) };
    let end_s = day_row(dates.end, &zone).start;
    if now.as_second() < end_s {
        let zone = zone.iana_name().unwrap_or("UTC").to_owned();
        return Err(HistoryError::NotOver { month: said(&name, &dates), zone });
    }
    if contents.until_s < end_s && now.as_second() < end_s + LONG_OVER_S {
        return Err(HistoryError::NotBooked(said(&name, &dates)));
    }
    let at = now.try_into().unwrap_or(std::time::SystemTime::UNIX_EPOCH);
    let Some(closed) = Editor::open(&path)?.close(&name, &dates, &zone, by_uid, at)? else {
        return Err(already_closed(&Reader::open(&path)?, &name, &dates)?);
    };
    let (sent, received) = (closed.sent, closed.received);
    let mut told = format!(
        "{} is closed: {sent} bytes sent, {received} received; SHA-256 {}\n",
        said(&name, &dates),
        closed.sha256
    );
    if dates != whole {
        let _ = writeln!(told, "the other days of {} were closed before", days(&whole));
    }
    Ok(told)
}

/// The error that days are closed already, and by what.
fn already_closed(reader: &Reader, name: &str, dates: &Range<Date>) -> Result<HistoryError, HistoryError> {
    let mut closed = reader.closed()?;
    closed.retain(|closed| closed.dates.start < dates.end && dates.start < closed.dates.end);
    let by = match &closed[..] {
        [same] if same.dates == *dates => format!("SHA-256 {}", same.sha256),
        several => {
            let said = |closed: &Closed| format!("{} (SHA-256 {})", days(&closed.dates), closed.sha256);
            several.iter().map(said).collect::<Vec<_>>().join(", ")
        }
    };
    Ok(HistoryError::AlreadyClosed { month: said(name, dates), by })
}

/// The name of a month, with its days if they differ from the calendar month's.
pub(super) fn said(name: &str, dates: &Range<Date>) -> String {
    let is_calendar = *dates == billing_month(dates.start, 1) && month_name(dates.start) == name;
    if is_calendar { name.to_owned() } else { format!("{name} ({})", days(dates)) }
}
