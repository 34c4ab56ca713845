//! The borders between rows of the book: five minutes, and the hours and days of a time zone.
//!
//! Pure arithmetic: no clock, no I/O.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

/// Length of the finest rows, in seconds.
pub const FINE_S: i64 = 300;
const HOUR_S: i64 = 3600;

/// The rows that a moment belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    /// Start of its five minutes, in seconds since 1970.
    pub fine_s: i64,
    /// Start of its hour in the zone, in seconds since 1970. An hour that is cut by a change of the offset begins
    /// there, so that rows never overlap.
    pub hour_s: i64,
    /// Its date in the zone, `YYYY-MM-DD`.
    pub date: String,
}

/// The rows for a report that ended at `end`: those of the last microsecond before `end`.
pub(super) fn rows_before(end: SystemTime, zone: &TimeZone) -> Rows {
    let last = timestamp(micros(end).saturating_sub(1));
    let second = floor_second(last);
    Rows {
        fine_s: floor(second, FINE_S),
        hour_s: hour_row(second, zone).start,
        date: date_before(end, zone).to_string(),
    }
}

/// The date of the daily row for a report that ended at `end`.
pub(super) fn date_before(end: SystemTime, zone: &TimeZone) -> Date {
    let last = timestamp(micros(end).saturating_sub(1));
    zone.to_offset(last).to_datetime(last).date()
}

/// The hourly row that contains `second`, in seconds since 1970. It is shorter than an hour if the UTC offset changes
/// within it.
#[must_use]
pub fn hour_row(second: i64, zone: &TimeZone) -> Range<i64> {
    let at = timestamp(second.saturating_mul(1_000_000));
    let hour_s = hour_start(second, zone.to_offset(at));
    // The first transition at or before this second; `preceding` excludes one at the given time.
    let next = Timestamp::from_second(second.saturating_add(1)).unwrap_or(Timestamp::MAX);
    let before_s = zone.preceding(next).next().map_or(i64::MIN, |transition| floor_second(transition.timestamp()));
    let after_s = zone.following(at).next().map_or(i64::MAX, |transition| floor_second(transition.timestamp()));
    hour_s.max(before_s)..after_s.min(hour_s + HOUR_S)
}

/// The first moment after `at` at which a row ends. A report must be cut there, because its bytes go into one row.
#[must_use]
pub fn next_border(at: SystemTime, zone: &TimeZone) -> SystemTime {
    let at = timestamp(micros(at));
    let second = floor_second(at);
    let fine_s = floor(second, FINE_S) + FINE_S;
    let hour_s = hour_row(second, zone).end;
    time(fine_s.min(hour_s).saturating_mul(1_000_000))
}

/// The day `date` in the zone, in seconds since 1970. Empty if the zone skipped that day.
#[must_use]
pub fn day_row(date: Date, zone: &TimeZone) -> Range<i64> {
    let start = |date: Date| {
        let start = date.to_zoned_datetime(zone.clone()).map(|start| start.timestamp());
        start.unwrap_or(Timestamp::MAX).as_second()
    };
    start(date)..date.tomorrow().map_or(Timestamp::MAX.as_second(), start)
}

/// The date of `second` in the zone.
#[must_use]
pub fn date_of(second: i64, zone: &TimeZone) -> Date {
    zone.to_datetime(timestamp(second.saturating_mul(1_000_000))).date()
}

fn hour_start(second: i64, offset: Offset) -> i64 {
    let east_s = i64::from(offset.seconds());
    floor(second + east_s, HOUR_S) - east_s
}

const fn floor(second: i64, step: i64) -> i64 {
    second.div_euclid(step) * step
}

/// Whole seconds, rounded down, also before 1970.
fn floor_second(at: Timestamp) -> i64 {
    at.as_microsecond().div_euclid(1_000_000)
}

/// A time outside the calendar (years -9999 to 9999) becomes its first or last moment.
fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// Microseconds since 1970, rounded down; negative before 1970. Saturates beyond 292,000 years.
pub(super) fn micros(at: SystemTime) -> i64 {
    match at.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos().div_ceil(1000)).map_or(i64::MIN, |micros| -micros),
    }
}

/// The moment `micros` microseconds after 1970.
pub(super) fn time(micros: i64) -> SystemTime {
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}
