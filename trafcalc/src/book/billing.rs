//! Months that begin on a billing day, 1 to 28. Quotas, closed months and answers share this definition. Pure.

use std::ops::{Range, RangeInclusive};

use jiff::Span;
use jiff::civil::Date;

/// The days on which a month may begin: every month has them.
pub const BILLING_DAYS: RangeInclusive<i8> = 1..=28;

/// The days from the billing day at or before `date` to the next one.
#[must_use]
pub fn billing_month(date: Date, billing_day: i8) -> Range<Date> {
    let this = on_day(date, billing_day);
    let month = Span::new().months(1);
    if this <= date { this..this.saturating_add(month) } else { this.saturating_sub(month)..this }
}

/// The days of the month that begins on the billing day of `date`'s calendar month.
#[must_use]
pub fn billing_month_named(date: Date, billing_day: i8) -> Range<Date> {
    billing_month(on_day(date, billing_day), billing_day)
}

/// The name of a month, whatever its billing day: the calendar month in which it begins, as `2026-11`.
#[must_use]
pub fn month_name(first: Date) -> String {
    first.strftime("%Y-%m").to_string()
}

fn on_day(date: Date, day: i8) -> Date {
    date.with().day(day).build().unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_in_one_month_and_months_follow_each_other() {
        let date = |text: &str| text.parse::<Date>().unwrap();
        for day in BILLING_DAYS {
            let mut month = billing_month(date("2023-12-31"), day);
            for date in date("2024-01-01").series(Span::new().days(1)).take(800) {
                let now = billing_month(date, day);
                assert!(now.contains(&date) && now.start.day() == day && now.end.day() == day, "{date} {day}");
                assert!(now == month || now.start == month.end && date == now.start, "{date} {day}");
                assert_eq!(billing_month_named(now.start.first_of_month(), day), now);
                month = now;
            }
        }
        assert_eq!(billing_month(date("2024-02-29"), 28), date("2024-02-28")..date("2024-03-28"));
        assert_eq!(month_name(billing_month(date("2026-01-14"), 15).start), "2025-12");
    }
}
