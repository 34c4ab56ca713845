//! What `--each` cuts a period into: hours, days or months of the zone. Pure.

use std::ops::Range;

use jiff::tz::TimeZone;

use super::period::seconds_of;
use crate::book::{Tier, billing_month, date_of, day_row, hour_row};

/// How long a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Each {
    /// An hour of the zone.
    Hour,
    /// A day.
    Day,
    /// A month, which begins with the billing day.
    Month,
}

impl Each {
    /// The longest rows of the book that lie in one part.
    pub(super) const fn coarsest(self) -> Tier {
        match self {
            Self::Hour => Tier::Hour,
            Self::Day | Self::Month => Tier::Day,
        }
    }
}

/// Tells which part a second is in.
pub(super) struct Parts<'a> {
    pub each: Option<Each>,
    pub zone: &'a TimeZone,
    pub billing_day: i8,
    /// Parts do not reach beyond it.
    pub period: Range<i64>,
    /// The one asked for last: those who ask do so in order.
    last: Range<i64>,
}

impl<'a> Parts<'a> {
    pub fn new(each: Option<Each>, zone: &'a TimeZone, billing_day: i8, period: Range<i64>) -> Self {
        Self { each, zone, billing_day, period, last: 0..0 }
    }

    /// The part that has `second`, as far as it is in the period.
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
