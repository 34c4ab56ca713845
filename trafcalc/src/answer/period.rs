//! The period of a question: turns what was typed into two moments. Pure; the present is an argument.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::book::{FINE_S, billing_month, billing_month_named, date_of, day_row};

/// The period as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `--month`
    Month(Month),
    /// `--day`
    Day(Day),
    /// `--from`, `--to`
    Between(Moment, Moment),
    /// `--last`
    Last(Duration),
}

/// A month, from its billing day to that of the next month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Month {
    /// The one that begins in the calendar month of this date.
    Of(Date),
    /// The current one.
    This,
    /// The one before it.
    Last,
}

/// A date, or a day relative to today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    /// A date.
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
    /// A moment with an offset or in UTC.
    At(Timestamp),
    /// A time of day, in the zone of the question.
    Local(Day, Time),
}

/// Why a text is not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not a month.
    #[error("{0:?} is not a month: this, last, or one such as 2026-11")]
    Month(String),
    /// Not a length of time.
    #[error("{text:?} is not a length of time such as 30d or 12h; {hint}")]
    Length {
        /// What was typed.
        text: String,
        /// What may be meant.
        hint: &'static str,
    },
    /// Not a day.
    #[error("{0:?} is not a day: today, yesterday, or a date such as 2026-11-03")]
    Day(String),
    /// Not a moment.
    #[error(
        "{0:?} is not a moment: now, a day (today, yesterday, 2026-11-03), one with a time (\"yesterday 22:00\", \
         2026-11-03T22:00), or a time with an offset (2026-11-03T22:00+01:00)"
    )]
    Moment(String),
    /// A time of day with more than a time, such as an offset.
    #[error(
        "{0:?}: a time of day has digits, ':' and '.' alone, as in \"yesterday 22:00\"; it is of the zone that is asked in \
         (--zone), and another offset needs a date: 2026-11-03T22:00+01:00"
    )]
    TimeOfDay(String),
}

impl FromStr for Month {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let of = || format!("{text}-01").parse().ok().filter(|_| text.len() == "2026-11".len()).map(Self::Of);
        match text {
            "this" => Ok(Self::This),
            "last" => Ok(Self::Last),
            _ => of().ok_or_else(|| PeriodError::Month(text.to_owned())),
        }
    }
}

impl Month {
    /// Its days, if today is `today` and months begin on `billing_day`.
    #[must_use]
    pub fn dates(self, today: Date, billing_day: i8) -> Range<Date> {
        let this = billing_month(today, billing_day);
        match self {
            Self::Of(date) => billing_month_named(date, billing_day),
            Self::This => this,
            Self::Last => billing_month(this.start.yesterday().unwrap_or(this.start), billing_day),
        }
    }
}

/// A length of time that ends now, such as `30d`.
pub fn length(text: &str) -> Result<Duration, PeriodError> {
    let hint = match text.trim_start_matches("last ").trim_end_matches('s') {
        "month" => "the month that is over is --month last",
        "day" | "yesterday" => "the day that is over is --day yesterday",
        "week" => "the last seven days are --last 7d",
        "year" => "the last year is --last 365d",
        "hour" => "the last hour is --last 1h",
        _ => "since a day or moment is --since",
    };
    humantime::parse_duration(text).map_err(|_| PeriodError::Length { text: text.to_owned(), hint })
}

impl FromStr for Day {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        match text {
            "today" => Ok(Self::Today),
            "yesterday" => Ok(Self::Yesterday),
            // jiff also parses a date with a time as a date.
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
        // jiff also parses a time with an offset or a zone as a time without one.
        if !time.chars().all(|character| character.is_ascii_digit() || matches!(character, ':' | '.')) {
            return Err(PeriodError::TimeOfDay(text.to_owned()));
        }
        time.parse().map(|time| Self::Local(day, time)).map_err(|_| complaint())
    }
}

impl Day {
    pub(crate) fn date(self, today: Date) -> Date {
        match self {
            Self::Date(date) => date,
            Self::Today => today,
            Self::Yesterday => today.yesterday().unwrap_or(today),
        }
    }
}

impl Moment {
    /// In seconds since 1970, rounded down. A time that occurs twice in the zone is the first one. A time that the zone
    /// skips is taken as if the clock had not been changed.
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
    /// The period in seconds since 1970. It may be empty.
    #[must_use]
    pub fn seconds(&self, now: Timestamp, zone: &TimeZone, billing_day: i8) -> Range<i64> {
        let today = date_of(now.as_second(), zone);
        match self {
            Self::Month(month) => seconds_of(&month.dates(today, billing_day), zone),
            Self::Day(day) => day_row(day.date(today), zone),
            Self::Between(from, to) => from.second(now, zone)..to.second(now, zone),
            // Limited to 1970: a `Duration` can have more seconds than the calendar.
            Self::Last(length) => now.as_second().saturating_sub_unsigned(length.as_secs()).max(0)..now.as_second(),
        }
    }
}

/// The seconds of these days.
pub(super) fn seconds_of(days: &Range<Date>, zone: &TimeZone) -> Range<i64> {
    day_row(days.start, zone).start..day_row(days.end, zone).start
}

/// `asked`, widened to whole five-minute rows.
pub(super) fn rounded(asked: &Range<i64>) -> Range<i64> {
    let down = |second: i64| second.saturating_sub(second.rem_euclid(FINE_S));
    down(asked.start)..down(asked.end.saturating_add(FINE_S - 1))
}

#[cfg(test)]
mod tests;
