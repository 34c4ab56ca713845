//! Chooses the rows of the book that make up a period exactly: daily rows for whole days, hourly rows at the ends of
//! the period, and five-minute rows at their ends. Pure.
//!
//! Days and hours are those of the zone that the service had when it wrote them. Daily rows of another zone than the
//! one asked for, or of an unknown one, are not used. Hourly rows of another zone are used if they lie entirely in one
//! part of the answer: hours of Berlin make up a day of London. Where a row may contain bytes of two zones, only
//! five-minute rows are used.

use std::ops::Range;

use jiff::tz::TimeZone;

use crate::book::{Contents, Tier, date_of, day_row, hour_row};

/// Rows of one table: those that begin in these seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub tier: Tier,
    pub seconds: Range<i64>,
}

/// A time in which the book's zone was the same.
pub(super) struct Zoned {
    pub seconds: Range<i64>,
    /// `Etc/Unknown` if it is not known.
    pub zone: TimeZone,
}

/// An hour: a report may be booked slightly before its epoch began.
const MARGIN_S: i64 = 3600;
/// No two zones are more than 26 hours apart.
const TWO_DAYS_S: i64 = 2 * 24 * 3600;

/// Which hourly and daily rows can be used.
pub(super) struct Usable<'a> {
    lives: &'a [Zoned],
    /// Where daily rows cannot be used, because they may contain bytes of days of another zone.
    foreign_days: Vec<Range<i64>>,
}

impl<'a> Usable<'a> {
    pub fn new(lives: &'a [Zoned], zone: &TimeZone) -> Self {
        Self { lives, foreign_days: foreign(lives, zone).map(|life| days(life, zone)).collect() }
    }

    fn is_day(&self, day: &Range<i64>) -> bool {
        !self.foreign_days.iter().any(|time| overlap(time, day))
    }

    /// The hour that contains `second` in the book's zone of that time, or in `zone` if there is none; and whether its
    /// row has bytes of that zone alone.
    fn hour(&self, second: i64, zone: &TimeZone) -> (Range<i64>, bool) {
        // Before the first epoch, only its first report can have bytes.
        let life = self.lives.iter().find(|life| life.seconds.contains(&second)).or(self.lives.first());
        let zone = life.map_or(zone, |life| &life.zone);
        let hour = hour_row(second, zone);
        let mut lives = self.lives.iter().filter(|life| overlap(&around(&life.seconds), &hour));
        let is_of_one = lives.all(|life| is_same(&life.zone, zone));
        (hour, is_of_one)
    }
}

fn around(seconds: &Range<i64>) -> Range<i64> {
    seconds.start.saturating_sub(MARGIN_S)..seconds.end.saturating_add(MARGIN_S)
}

/// The days of `zone` that epochs of another zone fall into, or whose dates these epochs wrote rows for.
fn days(foreign: &Zoned, zone: &TimeZone) -> Range<i64> {
    let seconds = around(&foreign.seconds);
    // An unknown zone may be any zone, so its dates may be those of any zone.
    let apart_s = if foreign.zone.is_unknown() { TWO_DAYS_S } else { 0 };
    let (from, to) = (seconds.start.saturating_sub(apart_s), seconds.end.saturating_add(apart_s));
    let first = date_of(seconds.start, zone).min(date_of(from, &foreign.zone));
    let last = date_of(seconds.end, zone).max(date_of(to, &foreign.zone));
    day_row(first, zone).start..day_row(last, zone).end
}

/// The epochs; consecutive ones with the same zone are joined.
pub(super) fn lives(contents: &Contents) -> Vec<Zoned> {
    let ends = contents.lives.iter().skip(1).map(|life| life.from_s).chain([i64::MAX]);
    let mut lives: Vec<Zoned> = Vec::new();
    for (life, end) in contents.lives.iter().zip(ends) {
        let zone = zone_of(life.zone.as_deref());
        match lives.last_mut() {
            Some(last) if last.seconds.end == life.from_s && is_same(&last.zone, &zone) => last.seconds.end = end,
            _ => lives.push(Zoned { seconds: life.from_s..end, zone }),
        }
    }
    lives
}

/// The times whose zone is not `zone` or is not known.
pub(super) fn foreign<'a>(lives: &'a [Zoned], zone: &TimeZone) -> impl Iterator<Item = &'a Zoned> {
    lives.iter().filter(move |life| !is_same(&life.zone, zone))
}

/// Whether two zones are the same, under any of their names. An unknown zone equals none, not even itself.
fn is_same(one: &TimeZone, other: &TimeZone) -> bool {
    let (name, other_name) = (one.primary_iana_name(), other.primary_iana_name());
    let is_known = !one.is_unknown() && !other.is_unknown();
    is_known && (one == other || (name.is_some() && name == other_name))
}

/// The zone of that name; `Etc/Unknown` without a name, or if the name is not known here.
pub(super) fn zone_of(name: Option<&str>) -> TimeZone {
    name.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::unknown())
}

/// The rows that make up `period`, none longer than `coarsest`, in order.
pub(super) fn pieces(
    period: &Range<i64>,
    zone: &TimeZone,
    coarsest: Tier,
    usable: &Usable<'_>,
    contents: &Contents,
) -> Vec<Piece> {
    let mut pieces = Pieces(Vec::new());
    let Some((first, last)) = contents.days else { return Vec::new() };
    // The time in which the book can have rows, in whatever zone.
    let from = period.start.max(day_row(first, zone).start.saturating_sub(TWO_DAYS_S));
    let to = period.end.min(day_row(last, zone).end.saturating_add(TWO_DAYS_S));
    let mut at = from;
    while at < to {
        let day = day_row(date_of(at, zone), zone);
        let part = at..day.end.min(to);
        if coarsest == Tier::Day && part == day && usable.is_day(&day) {
            pieces.add(Tier::Day, day);
        } else {
            add_hours(&mut pieces, &part, zone, coarsest, usable);
        }
        at = part.end.max(at + 1);
    }
    pieces.0
}

fn add_hours(pieces: &mut Pieces, part: &Range<i64>, zone: &TimeZone, coarsest: Tier, usable: &Usable<'_>) {
    let mut at = part.start;
    while at < part.end {
        let (hour, is_of_one) = usable.hour(at, zone);
        // Hourly answers are in hours of `zone`.
        let end = if coarsest == Tier::Hour { hour_row(at, zone).end } else { part.end };
        let seconds = at..hour.end.min(end).min(part.end);
        at = seconds.end;
        let is_whole = seconds == hour && coarsest != Tier::Fine && is_of_one;
        pieces.add(if is_whole { Tier::Hour } else { Tier::Fine }, seconds);
    }
}

/// The first piece whose rows were removed because of their age, or may have been.
pub(super) fn removed<'a>(pieces: &'a [Piece], contents: &Contents) -> Option<&'a Piece> {
    let kept_from = |tier| match tier {
        Tier::Fine => contents.fine_from_s,
        Tier::Hour => contents.hours_from_s,
        Tier::Day => i64::MIN,
    };
    let is_removed = |piece: &&Piece| {
        // Before the book was begun and after its last report there was nothing to remove.
        let (from, to) = (piece.seconds.start.max(contents.begun_s), piece.seconds.end.min(contents.until_s));
        from < to && from < kept_from(piece.tier)
    };
    pieces.iter().find(is_removed)
}

fn overlap(one: &Range<i64>, other: &Range<i64>) -> bool {
    one.start < other.end && other.start < one.end
}

struct Pieces(Vec<Piece>);

impl Pieces {
    /// Extends the last piece if possible.
    fn add(&mut self, tier: Tier, seconds: Range<i64>) {
        match self.0.last_mut() {
            Some(last) if last.tier == tier && last.seconds.end == seconds.start => last.seconds.end = seconds.end,
            _ => self.0.push(Piece { tier, seconds }),
        }
    }
}

#[cfg(test)]
mod tests;
