//! The parts into which `--each` cuts a period: hours, days or months of the zone. Pure.

use std::ops::Range;

use jiff::tz::TimeZone;

use super::period::seconds_of;
use crate::book::{Tier, billing_month, date_of, day_row, hour_row};

/// The length of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Each {
    /// An hour of the zone.
    Hour,
    /// A day.
    Day,
    /// A month, which begins on the billing day.
    Month,
}

impl Each {
    /// The longest rows of the book that fit into a part.
    pub(super) const fn coarsest(self) -> Tier {
        match self {
            Self::Hour => Tier::Hour,
            Self::Day | Self::Month => Tier::Day,
        }
    }
}

/// Finds the part that a second is in.
pub(super) struct Parts<'a> {
    pub each: Option<Each>,
    pub zone: &'a TimeZone,
    pub billing_day: i8,
    /// Parts are clipped to it.
    pub period: Range<i64>,
    /// The last result: callers ask in order of time.
    last: Range<i64>,
}

impl<'a> Parts<'a> {
    pub fn new(each: Option<Each>, zone: &'a TimeZone, billing_day: i8, period: Range<i64>) -> Self {
        Self { each, zone, billing_day, period, last: 0..0 }
    }

    /// The part that contains `second`, clipped to the period.
    pub fn of(&mut self, second: i64) -> Range<i64> {
        if !self.last.contains(&second) {
            let part = self.whole(second);
            self.last = part.start.max(self.period.start)..part.end.min(self.period.end);
        }
        self.last.clone()
    }

    fn whole(&self, second: i64) -> Range<i64> {
        let date = || date_of(second, self.zone);
        match self.each {
            None => self.period.clone(),
            Some(Each::Hour) => hour_row(second, self.zone),
            Some(Each::Day) => day_row(date(), self.zone),
            Some(Each::Month) => seconds_of(&billing_month(date(), self.billing_day), self.zone),
        }
    }
}
