//! Months are closed with one billing day, then with another.

use jiff::civil::{Date, date};

use super::*;

#[test]
fn each_day_is_closed_once_however_the_billing_day_changes() {
    let zone = TimeZone::UTC;
    let month = |month: i8, billing_day: i8| billing_month_named(date(2025, month, 1), billing_day);
    let pairs = [(1, 15), (15, 1), (15, 5), (5, 28), (28, 5), (1, 28), (28, 1)];
    for (before, after) in pairs {
        let (_folder, path) = folder();
        drop(open(&path));
        let mut editor = Editor::open(&path).unwrap();
        let mut close = |dates: &std::ops::Range<Date>| {
            let name = month_name(dates.start);
            let Some(open) = Reader::open(&path).unwrap().open_days(dates).unwrap() else { return false };
            let closed = editor.close(&name, &open, &zone, 0, at(BEGIN_S)).unwrap().unwrap();
            assert_eq!((&closed.month, &closed.dates), (&name, &open));
            true
        };
        // Two adjacent ones, and a separate one.
        for number in [3, 4, 9] {
            assert!(close(&month(number, before)));
        }
        let closed = (1..=12).filter(|number| close(&month(*number, after))).count();
        assert!(closed >= 11, "{before} {after}");
        let days: Vec<_> =
            Reader::open(&path).unwrap().closed().unwrap().into_iter().map(|closed| closed.dates).collect();
        assert_eq!(days[0].start, month(1, after).start);
        assert_eq!(days.last().unwrap().end, month(12, after).end);
        assert!(days.windows(2).all(|pair| pair[0].end == pair[1].start), "{before} {after}: {days:?}");
        for number in 1..=12 {
            assert!(!close(&month(number, after)), "{before} {after}");
        }
        // A month with both open and closed days is refused as a whole.
        let across = month(12, after).start..month(12, after).end.tomorrow().unwrap();
        assert_eq!(editor.close("2025-12", &across, &zone, 0, at(BEGIN_S)).unwrap(), None);
    }
}
