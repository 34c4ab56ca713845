use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::book::{FINE_S, Life};

fn second(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

fn contents() -> Contents {
    Contents {
        begun_s: second("2026-01-01T00:00:00Z"),
        until_s: second("2027-01-01T00:00:00Z"),
        lives: Vec::new(),
        days: Some(("2026-01-01".parse().unwrap(), "2026-12-31".parse().unwrap())),
        fine_from_s: second("2026-11-27T00:00:00Z"),
        hours_from_s: second("2026-06-01T00:00:00Z"),
    }
}

fn cover(from: &str, to: &str, zone: &str, coarsest: Tier) -> Vec<(Tier, String, String)> {
    let period = second(from)..second(to);
    let said = |second| Timestamp::from_second(second).unwrap().to_string();
    let pieces =
        pieces(&period, &TimeZone::get(zone).unwrap(), coarsest, &Unusable::new(&[], &TimeZone::UTC), &contents());
    pieces.into_iter().map(|piece| (piece.tier, said(piece.seconds.start), said(piece.seconds.end))).collect()
}

fn piece(tier: Tier, from: &str, to: &str) -> (Tier, String, String) {
    (tier, from.to_owned(), to.to_owned())
}

#[test]
fn a_month_is_days_alone() {
    let month = cover("2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z", "Europe/Berlin", Tier::Day);
    assert_eq!(month, [piece(Tier::Day, "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z")]);
}

#[test]
fn the_ends_are_hours_and_the_ends_of_these_five_minutes() {
    // Kolkata is half an hour off.
    let pieces = cover("2026-10-01T16:55:00Z", "2026-10-03T20:45:00Z", "Asia/Kolkata", Tier::Day);
    assert_eq!(
        pieces,
        [
            piece(Tier::Fine, "2026-10-01T16:55:00Z", "2026-10-01T17:30:00Z"),
            piece(Tier::Hour, "2026-10-01T17:30:00Z", "2026-10-01T18:30:00Z"),
            piece(Tier::Day, "2026-10-01T18:30:00Z", "2026-10-03T18:30:00Z"),
            piece(Tier::Hour, "2026-10-03T18:30:00Z", "2026-10-03T20:30:00Z"),
            piece(Tier::Fine, "2026-10-03T20:30:00Z", "2026-10-03T20:45:00Z"),
        ]
    );
    // An hour that a change of the clocks cuts to half of one.
    let pieces = cover("2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z", "Australia/Lord_Howe", Tier::Hour);
    assert_eq!(pieces, [piece(Tier::Hour, "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z")]);
}

#[test]
fn what_was_removed_is_found_and_what_never_was_is_not() {
    let piece = |tier, from, to| vec![Piece { tier, seconds: second(from)..second(to) }];
    let removed = |pieces: &[Piece]| removed(pieces, &contents()).is_some();
    assert!(removed(&piece(Tier::Fine, "2026-11-26T23:00:00Z", "2026-11-28T00:00:00Z")));
    assert!(!removed(&piece(Tier::Fine, "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z")));
    assert!(removed(&piece(Tier::Hour, "2026-05-31T00:00:00Z", "2026-11-28T00:00:00Z")));
    assert!(!removed(&piece(Tier::Day, "2026-01-01T00:00:00Z", "2026-11-28T00:00:00Z")));
    assert!(!removed(&piece(Tier::Fine, "2025-05-31T00:00:00Z", "2026-01-01T00:00:00Z")), "before it was begun");
}

#[test]
fn a_zone_of_before_is_foreign_until_the_next_life() {
    let life = |from_s, zone: Option<&str>| Life { from_s, zone: zone.map(str::to_owned) };
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let lives = vec![life(10, Some("Europe/Berlin")), life(20, None), life(30, Some("Asia/Kolkata")), life(40, None)];
    let contents = Contents { lives, ..contents() };
    let of = |zone: &TimeZone| -> Vec<_> {
        foreign(&contents, zone).into_iter().map(|life| (life.seconds.start, life.seconds.end)).collect()
    };
    assert_eq!(of(&berlin), [(20, 30), (30, 40), (40, i64::MAX)]);
    let of_utc = Contents { lives: vec![life(10, Some("Etc/UTC")), life(20, Some("UTC"))], ..contents.clone() };
    assert!(foreign(&of_utc, &TimeZone::UTC).is_empty(), "one zone by two names");
    assert_eq!(of(&TimeZone::UTC), [(10, 20), (20, 30), (30, 40), (40, i64::MAX)]);
}

#[test]
fn a_zone_that_is_not_known_is_foreign_to_every_other_and_to_itself() {
    let life = |zone: Option<&str>| Life { from_s: 10, zone: zone.map(str::to_owned) };
    for name in [None, Some("Mars/Olympus"), Some("Etc/Unknown")] {
        let contents = Contents { lives: vec![life(name)], ..contents() };
        for zone in [TimeZone::UTC, TimeZone::get("Europe/Berlin").unwrap(), TimeZone::unknown()] {
            assert_eq!(foreign(&contents, &zone).len(), 1, "{name:?} {zone:?}");
        }
    }
}

#[test]
fn days_of_an_unknown_zone_are_those_of_any() {
    let seconds = second("2026-10-02T10:30:00Z")..second("2026-10-02T11:30:00Z");
    for name in ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
        let zone = TimeZone::get(name).unwrap();
        let unusable = Unusable::new(&[Foreign { seconds: seconds.clone(), zone: TimeZone::unknown() }], &zone);
        let days = &unusable.days[0];
        for date in ["2026-10-01", "2026-10-02", "2026-10-03"] {
            assert!(days.contains(&day_row(date.parse().unwrap(), &zone).start), "{name} {date}");
        }
    }
}

#[test]
fn days_that_either_zone_may_have_written_are_not_used() {
    let (east, west) = (TimeZone::get("Pacific/Kiritimati").unwrap(), TimeZone::get("Pacific/Pago_Pago").unwrap());
    // With an hour before and after it is from the 1st to the 2nd in the west, and from the 2nd to the 3rd in the east.
    let seconds = second("2026-10-02T10:30:00Z")..second("2026-10-02T11:30:00Z");
    for (zone, foreign) in [(&east, &west), (&west, &east)] {
        let unusable = Unusable::new(&[Foreign { seconds: seconds.clone(), zone: foreign.clone() }], zone);
        let day = |date: &str| day_row(date.parse().unwrap(), zone);
        assert_eq!(unusable.days[0], day("2026-10-01").start..day("2026-10-03").end);
        assert_eq!(unusable.hours[0], second("2026-10-02T09:30:00Z")..second("2026-10-02T12:30:00Z"));
    }
}

const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Without a hole, nothing twice, and nothing that begins or ends within a row.
    #[test]
    fn pieces_make_up_the_period(place in 0..ZONES.len(), from in 0..20_000_i64, length in 1..20_000_i64) {
        let zone = TimeZone::get(ZONES[place]).unwrap();
        let start = second("2026-03-01T00:00:00Z") + from * FINE_S;
        let period = start..start + length * FINE_S;
        let pieces = pieces(&period, &zone, Tier::Day, &Unusable::new(&[], &zone), &contents());
        prop_assert_eq!(pieces.first().unwrap().seconds.start, period.start);
        prop_assert_eq!(pieces.last().unwrap().seconds.end, period.end);
        prop_assert!(pieces.windows(2).all(|pair| pair[0].seconds.end == pair[1].seconds.start && pair[0].tier != pair[1].tier));
        for Piece { tier, seconds } in &pieces {
            let row = |second| match tier {
                Tier::Fine => second..second + FINE_S,
                Tier::Hour => hour_row(second, &zone),
                Tier::Day => day_row(date_of(second, &zone), &zone),
            };
            prop_assert_eq!((row(seconds.start).start, row(seconds.end - 1).end.max(seconds.end)), (seconds.start, row(seconds.end - 1).end));
        }
    }
}
