//! The time that is asked about: from what was typed to two moments. Pure; the present is an argument.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::book::{FINE_S, date_of, day_row};

/// The time that was asked for, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The month that is not over.
    ThisMonth,
    /// `--month`
    Month(Month),
    /// `--day`
    Day(Day),
    /// `--from`, `--to`
    Between(Moment, Moment),
    /// `--last`
    Last(Duration),
}

/// A month of a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(Date);

/// A day of the calendar, or one that is told by its distance from today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    /// As it is.
    Date(Date),
    /// Today.
    Today,
    /// The day before it.
    Yesterday,
}

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The present.
    Now,
    /// One with an offset or in UTC.
    At(Timestamp),
    /// A time of day, in the zone that is asked in.
    Local(Day, Time),
}

/// What cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not a month.
    #[error("{0:?} is not a month such as 2026-11")]
    Month(String),
    /// Not a day.
    #[error("{0:?} is not a day: today, yesterday, or a date such as 2026-11-03")]
    Day(String),
    /// Not a moment.
    #[error(
        "{0:?} is not a moment: now, a day (today, yesterday, 2026-11-03), one with a time (\"yesterday 22:00\", \
         2026-11-03T22:00), or a time with an offset (2026-11-03T22:00+01:00)"
    )]
    Moment(String),
    /// A day with what is no time alone.
    #[error(
        "{0:?}: a time of day has digits, ':' and '.' alone, as in \"yesterday 22:00\"; it is of the zone that is asked in \
         (--zone), and another offset needs a date: 2026-11-03T22:00+01:00"
    )]
    TimeOfDay(String),
}

impl FromStr for Month {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let first = format!("{text}-01").parse().ok().filter(|_| text.len() == "2026-11".len());
        first.map(Self).ok_or_else(|| PeriodError::Month(text.to_owned()))
    }
}

impl FromStr for Day {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        match text {
            "today" => Ok(Self::Today),
            "yesterday" => Ok(Self::Yesterday),
            // jiff takes a date with a time for a date, too.
            _ if text.len() == "2026-11-03".len() => {
                text.parse().map(Self::Date).map_err(|_| PeriodError::Day(text.to_owned()))
            }
            _ => Err(PeriodError::Day(text.to_owned())),
        }
    }
}

impl FromStr for Moment {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        if text == "now" {
            return Ok(Self::Now);
        }
        if let Ok(day) = text.parse() {
            return Ok(Self::Local(day, Time::midnight()));
        }
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        let complaint = || PeriodError::Moment(text.to_owned());
        let (day, time) = text.split_once([' ', 'T']).ok_or_else(complaint)?;
        let day: Day = day.parse().map_err(|_| complaint())?;
        // jiff takes a time with an offset or a zone for one without.
        if !time.chars().all(|character| character.is_ascii_digit() || matches!(character, ':' | '.')) {
            return Err(PeriodError::TimeOfDay(text.to_owned()));
        }
        time.parse().map(|time| Self::Local(day, time)).map_err(|_| complaint())
    }
}

impl Day {
    fn date(self, today: Date) -> Date {
        match self {
            Self::Date(date) => date,
            Self::Today => today,
            Self::Yesterday => today.yesterday().unwrap_or(today),
        }
    }
}

impl Moment {
    /// In seconds since 1970, rounded down. A time that the zone has twice is the first of the two; of one that it leaves out,
    /// what a clock shows that was not set.
    fn second(self, now: Timestamp, zone: &TimeZone) -> i64 {
        match self {
            Self::Now => now.as_second(),
            Self::At(at) => at.as_second(),
            Self::Local(day, time) => second_of(day.date(date_of(now.as_second(), zone)).to_datetime(time), zone),
        }
    }
}

fn second_of(local: DateTime, zone: &TimeZone) -> i64 {
    zone.to_timestamp(local).unwrap_or(Timestamp::MAX).as_second()
}

impl Asked {
    /// The seconds since 1970 that are asked for. They may be empty.
    #[must_use]
    pub fn seconds(&self, now: Timestamp, zone: &TimeZone, billing_day: i8) -> Range<i64> {
        let today = date_of(now.as_second(), zone);
        match self {
            Self::ThisMonth => seconds_of(&billing_month(today, billing_day), zone),
            Self::Month(Month(first)) => seconds_of(&billing_month(on_day(*first, billing_day), billing_day), zone),
            Self::Day(day) => day_row(day.date(today), zone),
            Self::Between(from, to) => from.second(now, zone)..to.second(now, zone),
            Self::Last(length) => now.as_second().saturating_sub_unsigned(length.as_secs())..now.as_second(),
        }
    }
}

/// The days from the billing day at or before `date` to the next one.
pub(super) fn billing_month(date: Date, billing_day: i8) -> Range<Date> {
    let this = on_day(date, billing_day);
    let month = Span::new().months(1);
    if this <= date { this..this.saturating_add(month) } else { this.saturating_sub(month)..this }
}

/// The seconds of whole days.
pub(super) fn seconds_of(days: &Range<Date>, zone: &TimeZone) -> Range<i64> {
    day_row(days.start, zone).start..day_row(days.end, zone).start
}

/// Every month has the days 1 to 28.
fn on_day(date: Date, day: i8) -> Date {
    date.with().day(day).build().unwrap_or(date)
}

/// Whole rows of five minutes that have all of `asked`.
pub(super) fn rounded(asked: &Range<i64>) -> Range<i64> {
    let up = |second: i64| second.saturating_add(FINE_S - 1).div_euclid(FINE_S) * FINE_S;
    asked.start.div_euclid(FINE_S) * FINE_S..up(asked.end)
}

#[cfg(test)]
mod tests;
