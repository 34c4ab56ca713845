//! The period of a question in the zone of the answer, and the part of it that the book covers. Pure.

use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::error::AnswerError;
use super::period::rounded;
use super::{Asked, Question, gaps};
use crate::book::{Contents, FINE_S, Gap, date_of, day_row, hour_row};

/// The period, and which part of it is covered.
pub(super) struct Times {
    /// In seconds since 1970, on borders of five-minute rows.
    pub period: Range<i64>,
    /// The part of it between the book's beginning and its last report. May be empty.
    pub counted: Range<i64>,
    pub zone: TimeZone,
    /// Sentences about how this differs from the question.
    pub notes: Vec<String>,
}

impl Times {
    pub fn of(question: &Question, contents: &Contents, zone: &TimeZone, now: Timestamp) -> Result<Self, AnswerError> {
        let asked = question.asked.seconds(now, zone, question.billing_day(contents));
        let (start, shortest) = beginning(question, rounded(&asked).start, contents, zone);
        let period = start..rounded(&asked).end;
        let said = |seconds: &Range<i64>| (moment(seconds.start, zone), moment(seconds.end, zone));
        let (from, to) = said(&period);
        if asked.start >= asked.end {
            let (from, to) = said(&asked);
            return Err(AnswerError::Empty { from, to });
        }
        if question.is_estimated && !(asked.start..asked.end).contains(&now.as_second()) {
            return Err(AnswerError::NotUnderWay { from, to });
        }
        let start = period.start.max(contents.begun_s);
        let counted = start..period.end.min(contents.until_s).max(start);
        let mut times = Self { period, counted, zone: zone.clone(), notes: Vec::new() };
        if times.period != asked {
            times.notes.push(format!("The period was widened to full {shortest}."));
        }
        times.note_beginning(contents);
        Ok(times)
    }

    fn note_beginning(&mut self, contents: &Contents) {
        if contents.begun_s > self.period.start {
            self.notes.push(format!("The book was begun at {}.", moment(contents.begun_s, &self.zone)));
        }
    }

    /// The parts of the period, up to now, before the book's beginning or after its last report.
    pub fn outside(&self, contents: &Contents, now: Timestamp) -> Vec<Gap> {
        let to = self.period.end.min(now.as_second());
        let before = (self.period.start..to.min(contents.begun_s), "the book was not begun");
        let after = (self.period.start.max(contents.until_s)..to, "no report covers this time yet");
        let times = [before, after].into_iter().filter(|(seconds, _)| !seconds.is_empty());
        times.map(|(seconds, cause)| gaps::gap(&seconds, cause)).collect()
    }

    /// The number of five-minute slots in the counted part of `seconds`.
    pub fn slots(&self, seconds: &Range<i64>) -> usize {
        let counted = seconds.start.max(self.counted.start)..seconds.end.min(self.counted.end);
        let slots = rounded(&counted);
        if counted.is_empty() { 0 } else { usize::try_from((slots.end - slots.start) / FINE_S).unwrap_or(0) }
    }
}

/// The beginning of the period, and the shortest rows that the book has there. With `--last` the exact minute of the
/// beginning does not matter: if its five-minute row was removed, the period begins with the hour or day.
fn beginning(question: &Question, start: i64, contents: &Contents, zone: &TimeZone) -> (i64, &'static str) {
    let (hour, day) = (hour_row(start, zone), day_row(date_of(start, zone), zone));
    // Rows of the time before the book was begun are not needed.
    let is_gone = |row: &Range<i64>, kept_from_s| {
        matches!(question.asked, Asked::Last(_)) && row.end > contents.begun_s && start < kept_from_s
    };
    if is_gone(&day, contents.hours_from_s) {
        (day.start, "days, the shortest rows that the book still has of its beginning")
    } else if is_gone(&hour, contents.fine_from_s) {
        (hour.start, "hours, the shortest rows that the book still has of its beginning")
    } else {
        (start, "five minutes, the shortest rows of the book")
    }
}

/// A moment for people, in the zone: without seconds if they are 0, with the offset if clocks show it twice.
pub(super) fn moment(second: i64, zone: &TimeZone) -> String {
    let local = zone.to_datetime(at(second));
    let is_twice = matches!(zone.to_ambiguous_timestamp(local).offset(), AmbiguousOffset::Fold { .. });
    let offset = if is_twice { format!(" {}", zone.to_offset(at(second))) } else { String::new() };
    let format = if local.second() == 0 { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S" };
    format!("{}{offset}", local.strftime(format))
}

/// A moment for programs, with its offset.
pub(super) fn iso(at: Timestamp, zone: &TimeZone) -> String {
    at.display_with_offset(zone.to_offset(at)).to_string()
}

/// A time outside the calendar becomes its first or last moment.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(if second < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// The name of the zone, or its offset if it has none.
pub(super) fn name(zone: &TimeZone, second: i64) -> String {
    zone.iana_name().map_or_else(|| zone.to_offset(at(second)).to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_comes_twice_has_its_offset() {
        for (zone, moments) in [
            (
                "Europe/Berlin",
                &[
                    ("2026-10-24T23:59:59Z", "2026-10-25 01:59:59"),
                    ("2026-10-25T00:00:00Z", "2026-10-25 02:00 +02"),
                    ("2026-10-25T01:00:00Z", "2026-10-25 02:00 +01"),
                    ("2026-10-25T02:00:00Z", "2026-10-25 03:00"),
                    ("2026-03-29T01:00:00Z", "2026-03-29 03:00"),
                ][..],
            ),
            ("Australia/Lord_Howe", &[("2026-04-04T15:00:00Z", "2026-04-05 01:30 +10:30")]),
            ("UTC", &[("2026-10-25T00:00:00Z", "2026-10-25 00:00")]),
        ] {
            let zone = TimeZone::get(zone).unwrap();
            for (at, shown) in moments {
                assert_eq!(moment(at.parse::<Timestamp>().unwrap().as_second(), &zone), *shown);
            }
        }
    }
}
