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
        billing_day: 1,
        days: Some(("2026-01-01".parse().unwrap(), "2026-12-31".parse().unwrap())),
        fine_from_s: second("2026-11-27T00:00:00Z"),
        hours_from_s: second("2026-06-01T00:00:00Z"),
    }
}

fn cover(from: &str, to: &str, zone: &str, coarsest: Tier) -> Vec<(Tier, String, String)> {
    let period = second(from)..second(to);
    let said = |second| Timestamp::from_second(second).unwrap().to_string();
    let pieces =
        pieces(&period, &TimeZone::get(zone).unwrap(), coarsest, &Usable::new(&[], &TimeZone::UTC), &contents());
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
    // Kolkata's offset has half an hour.
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
    // An hour that a clock change shortens to half an hour.
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
        foreign(&super::lives(&contents), zone).map(|life| (life.seconds.start, life.seconds.end)).collect()
    };
    assert_eq!(of(&berlin), [(20, 30), (30, 40), (40, i64::MAX)]);
    let of_utc = Contents { lives: vec![life(10, Some("Etc/UTC")), life(20, Some("UTC"))], ..contents.clone() };
    let one = super::lives(&of_utc);
    assert_eq!((one.len(), foreign(&one, &TimeZone::UTC).count()), (1, 0), "one zone by two names");
    assert_eq!(of(&TimeZone::UTC), [(10, 20), (20, 30), (30, 40), (40, i64::MAX)]);
}

#[test]
fn a_zone_that_is_not_known_is_foreign_to_every_other_and_to_itself() {
    let life = |zone: Option<&str>| Life { from_s: 10, zone: zone.map(str::to_owned) };
    for name in [None, Some("Mars/Olympus"), Some("Etc/Unknown")] {
        let contents = Contents { lives: vec![life(name)], ..contents() };
        for zone in [TimeZone::UTC, TimeZone::get("Europe/Berlin").unwrap(), TimeZone::unknown()] {
            assert_eq!(foreign(&lives(&contents), &zone).count(), 1, "{name:?} {zone:?}");
        }
    }
}

#[test]
fn days_of_an_unknown_zone_are_those_of_any() {
    let seconds = second("2026-10-02T10:30:00Z")..second("2026-10-02T11:30:00Z");
    for name in ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
        let zone = TimeZone::get(name).unwrap();
        let lives = [Zoned { seconds: seconds.clone(), zone: TimeZone::unknown() }];
        let days = &Usable::new(&lives, &zone).foreign_days[0];
        for date in ["2026-10-01", "2026-10-02", "2026-10-03"] {
            assert!(days.contains(&day_row(date.parse().unwrap(), &zone).start), "{name} {date}");
        }
    }
}

#[test]
fn days_that_either_zone_may_have_written_are_not_used() {
    let (east, west) = (TimeZone::get("Pacific/Kiritimati").unwrap(), TimeZone::get("Pacific/Pago_Pago").unwrap());
    // With an hour on either side, it is from the 1st to the 2nd in the west, and from the 2nd to the 3rd in the east.
    let seconds = second("2026-10-02T10:30:00Z")..second("2026-10-02T11:30:00Z");
    for (zone, foreign) in [(&east, &west), (&west, &east)] {
        let lives = [Zoned { seconds: seconds.clone(), zone: foreign.clone() }];
        let usable = Usable::new(&lives, zone);
        let day = |date: &str| day_row(date.parse().unwrap(), zone);
        assert_eq!(usable.foreign_days[0], day("2026-10-01").start..day("2026-10-03").end);
    }
}

/// The rows for a book whose zone was Berlin and then Kolkata.
fn of_berlin_and_kolkata(from: &str, to: &str, zone: &str, coarsest: Tier) -> Vec<(Tier, String, String)> {
    let (berlin, kolkata, change) = ("Europe/Berlin", "Asia/Kolkata", second("2026-10-02T12:10:00Z"));
    let life = |from_s, zone: &str| Life { from_s, zone: Some(zone.to_owned()) };
    let lives = vec![life(0, berlin), life(second("2026-10-01T00:07:00Z"), berlin), life(change, kolkata)];
    let (contents, zone) = (Contents { lives, ..contents() }, TimeZone::get(zone).unwrap());
    let said = |second| Timestamp::from_second(second).unwrap().to_string();
    let lives = super::lives(&contents);
    let pieces = pieces(&(second(from)..second(to)), &zone, coarsest, &Usable::new(&lives, &zone), &contents);
    pieces.into_iter().map(|piece| (piece.tier, said(piece.seconds.start), said(piece.seconds.end))).collect()
}

#[test]
fn hours_of_another_zone_are_used_where_they_lie_in_one_part() {
    let (from, to) = ("2026-10-01T00:00:00Z", "2026-10-02T00:00:00Z");
    for coarsest in [Tier::Day, Tier::Hour] {
        assert_eq!(of_berlin_and_kolkata(from, to, "UTC", coarsest), [piece(Tier::Hour, from, to)]);
    }
    let (from, to) = ("2026-09-30T18:30:00Z", "2026-10-01T18:30:00Z");
    let day = [
        piece(Tier::Fine, "2026-09-30T18:30:00Z", "2026-09-30T19:00:00Z"),
        piece(Tier::Hour, "2026-09-30T19:00:00Z", "2026-10-01T18:00:00Z"),
        piece(Tier::Fine, "2026-10-01T18:00:00Z", "2026-10-01T18:30:00Z"),
    ];
    assert_eq!(of_berlin_and_kolkata(from, to, "Asia/Kolkata", Tier::Day), day);
    assert_eq!(of_berlin_and_kolkata(from, to, "Asia/Kolkata", Tier::Hour), [piece(Tier::Fine, from, to)]);
    // An hour before and after the change, a row may have bytes of both zones.
    let day = [
        piece(Tier::Hour, "2026-10-02T00:00:00Z", "2026-10-02T11:00:00Z"),
        piece(Tier::Fine, "2026-10-02T11:00:00Z", "2026-10-02T13:30:00Z"),
        piece(Tier::Hour, "2026-10-02T13:30:00Z", "2026-10-02T23:30:00Z"),
        piece(Tier::Fine, "2026-10-02T23:30:00Z", "2026-10-03T00:00:00Z"),
    ];
    assert_eq!(of_berlin_and_kolkata("2026-10-02T00:00:00Z", "2026-10-03T00:00:00Z", "UTC", Tier::Day), day);
}

const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The pieces have no hole and no overlap, and begin and end at borders of rows.
    #[test]
    fn pieces_make_up_the_period(place in 0..ZONES.len(), from in 0..20_000_i64, length in 1..20_000_i64) {
        let zone = TimeZone::get(ZONES[place]).unwrap();
        let start = second("2026-03-01T00:00:00Z") + from * FINE_S;
        let period = start..start + length * FINE_S;
        let pieces = pieces(&period, &zone, Tier::Day, &Usable::new(&[], &zone), &contents());
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

    /// Whatever zones the epochs had and whichever is asked for, each part contains exactly what moved in it.
    #[test]
    fn every_byte_is_in_its_part(
        zones in prop::collection::vec((0..ZONES.len(), 1..200_000_i64), 1..5), asked in 0..ZONES.len(),
        moved in prop::collection::vec(0..400_000_i64, 1..60), from in 0..1_400_i64, length in 1..1_400_i64, by_hour in any::<bool>(),
    ) {
        let zone = |place: usize| TimeZone::get(ZONES[place]).unwrap();
        let (begin, asked) = (second("2026-10-23T00:00:00Z"), zone(asked));
        let (mut at, mut lives) = (begin, Vec::new());
        for (place, length_s) in zones {
            lives.push(Zoned { seconds: at..at + length_s, zone: zone(place) });
            at += length_s;
        }
        lives.last_mut().unwrap().seconds.end = i64::MAX;
        let moved: Vec<_> = moved.into_iter().map(|second| begin + second).collect();
        let period = begin + from * FINE_S..begin + (from + length) * FINE_S;
        let coarsest = if by_hour { Tier::Hour } else { Tier::Day };
        let part = |second| if by_hour { hour_row(second, &asked).start } else { day_row(date_of(second, &asked), &asked).start };
        let mut truth: Vec<_> = moved.iter().copied().filter(|second| period.contains(second)).map(part).collect();
        let mut told = Vec::new();
        for Piece { tier, seconds } in pieces(&period, &asked, coarsest, &Usable::new(&lives, &asked), &contents()) {
            for second in &moved {
                let booked = &lives.iter().find(|life| life.seconds.contains(second)).unwrap().zone;
                let row_s = match tier {
                    Tier::Fine => second.div_euclid(FINE_S) * FINE_S,
                    Tier::Hour => hour_row(*second, booked).start,
                    Tier::Day => day_row(date_of(*second, booked), &asked).start,
                };
                told.extend(seconds.contains(&row_s).then(|| part(row_s)));
            }
        }
        truth.sort_unstable();
        told.sort_unstable();
        prop_assert_eq!(told, truth);
    }
}
