//! The corrections of a period, its closed months, and the bytes that a closed month moved to a later one. Pure, except
//! that it asks the book.

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Each;
use super::times::{moment, name};
use crate::book::{AccountKey, BookError, Closed, Correction, FINE_S, MovedOn, Reader, date_of, day_row};
use crate::figure::{scaled, signed};

/// What a person has changed in the figures of a period.
pub(super) struct Corrections {
    /// Those that are in the figures, of the accounts asked for.
    pub applied: Vec<Correction>,
    /// Those that are not, because a correction is of a whole day and the question is not about whole days.
    left_out: Vec<Correction>,
    /// The closed months that overlap the period.
    pub closed: Vec<Closed>,
    moved_on: Vec<MovedOn>,
}

impl Corrections {
    pub fn of(
        book: &Reader,
        period: &Range<i64>,
        zone: &TimeZone,
        each: Option<Each>,
        is_wanted: impl Fn(&AccountKey) -> bool,
    ) -> Result<Self, BookError> {
        let days = date_of(period.start, zone)..date_of(period.end - 1, zone).saturating_add(jiff::Span::new().days(1));
        let mut all = book.corrections(&days)?;
        all.retain(|correction| is_wanted(&correction.key));
        let is_whole = |date: Date| {
            let day = day_row(date, zone);
            each != Some(Each::Hour) && period.start <= day.start && day.end <= period.end
        };
        let (applied, left_out) = all.into_iter().partition(|correction| is_whole(correction.booked));
        let mut closed = book.closed()?;
        closed.retain(|month| month.seconds.start < period.end && period.start < month.seconds.end);
        Ok(Self { applied, left_out, closed, moved_on: book.moved_on(period)? })
    }

    /// A sentence for each way in which the figures differ from what was measured and booked.
    pub fn notes(&self, zone: &TimeZone) -> Vec<String> {
        let moved_on = self.moved_on.iter().map(|moved| moved_sentence(moved, zone));
        moved_on.chain((!self.left_out.is_empty()).then(|| left_out_sentence(&self.left_out))).collect()
    }
}

fn moved_sentence(MovedOn { moved, row_s, sent, received }: &MovedOn, zone: &TimeZone) -> String {
    let said = |second| moment(second, zone);
    let bytes = |bytes| scaled(bytes, "B", false);
    format!(
        "What moved from {} to {} ({} sent, {} received) is in the five minutes from {} to {}: its month was closed.",
        said(moved.start),
        said(moved.end),
        bytes(*sent),
        bytes(*received),
        said(*row_s),
        said(row_s + FINE_S)
    )
}

fn left_out_sentence(left_out: &[Correction]) -> String {
    let mut days: Vec<_> = left_out.iter().map(|correction| correction.booked.to_string()).collect();
    days.dedup();
    format!(
        "Corrections of {} are not in these figures, because a correction is of a whole day; ask for whole days, not by hour.",
        days.join(", ")
    )
}

/// The part of the period that was imported from logs.
pub(super) fn imported_sentence(logs: &[Range<i64>], period: &Range<i64>, zone: &TimeZone) -> Option<String> {
    let of_period = || logs.iter().filter(|log| log.start < period.end && period.start < log.end);
    let from = of_period().map(|log| log.start).min()?.max(period.start);
    let to = of_period().map(|log| log.end).max()?.min(period.end);
    Some(format!("What is from {} to {} was imported from logs.", moment(from, zone), moment(to, zone)))
}

/// For example: 2026-11-05: alice -5.00 GB sent: backup (no. 3)
pub(super) fn sentence(correction: &Correction, is_exact: bool) -> String {
    let Correction { id, date, booked, key, change, reason, .. } = correction;
    let uid = || key.uid.map_or_else(String::new, |uid| uid.to_string());
    let user = key.user.clone().unwrap_or_else(uid);
    let class = key.class.as_deref().map(|class| format!(" ({class})")).unwrap_or_default();
    let amounts = [(change.sent, "sent"), (change.received, "received")];
    let amounts = amounts.iter().filter(|(amount, _)| *amount != 0);
    let amounts: Vec<_> = amounts
        .map(|(amount, what)| {
            let sign = if *amount > 0 { "+" } else { "" };
            format!("{sign}{} {what}", signed((*amount).into(), "B", is_exact))
        })
        .collect();
    let of = if date == booked { String::new() } else { format!(" (of {date}, whose month was closed)") };
    format!("{booked}{of}: {user}{class} {}: {reason} (no. {id})", amounts.join(", "))
}

/// For example: 2026-10 was closed at 2026-11-03 09:12 with 1.50 MB sent, 2.50 kB received; SHA-256 … With its days if
/// they are not those of the period.
pub(super) fn closed_sentence(closed: &Closed, period: &Range<i64>, zone: &TimeZone, is_exact: bool) -> String {
    let Closed { month, dates, at, sent, received, sha256, .. } = closed;
    let at = Timestamp::try_from(*at).map_or(0, Timestamp::as_second);
    let bytes = |bytes: i64| signed(bytes.into(), "B", is_exact);
    let zone_of_days = if closed.zone == name(zone, at) { String::new() } else { format!(", {}", closed.zone) };
    let of = if closed.seconds == *period { String::new() } else { format!(" ({}{zone_of_days})", days(dates)) };
    format!(
        "{month}{of} was closed at {} with {} sent, {} received; SHA-256 {sha256}",
        moment(at, zone),
        bytes(*sent),
        bytes(*received)
    )
}

/// A range of days with its last day included: `2026-10-15 to 2026-11-14`.
pub(crate) fn days(dates: &Range<Date>) -> String {
    format!("{} to {}", dates.start, dates.end.yesterday().unwrap_or(dates.end))
}
