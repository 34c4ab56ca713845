use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The period in UTC.
fn asked(asked: &Asked, now: &str, zone_name: &str, billing_day: i8) -> (String, String) {
    let seconds = asked.seconds(time(now), &zone(zone_name), billing_day);
    let said = |second| Timestamp::from_second(second).unwrap().to_string();
    (said(seconds.start), said(seconds.end))
}

fn pair(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

#[test]
fn this_month_is_the_one_that_is_not_over() {
    for (now, zone, billing_day, from, to) in [
        ("2026-11-26T08:00:00Z", "UTC", 1, "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("2026-11-26T08:00:00Z", "UTC", 26, "2026-11-26T00:00:00Z", "2026-12-26T00:00:00Z"),
        ("2026-11-26T08:00:00Z", "UTC", 27, "2026-10-27T00:00:00Z", "2026-11-27T00:00:00Z"),
        ("2026-01-05T08:00:00Z", "UTC", 6, "2025-12-06T00:00:00Z", "2026-01-06T00:00:00Z"),
        ("2026-02-28T08:00:00Z", "UTC", 28, "2026-02-28T00:00:00Z", "2026-03-28T00:00:00Z"),
        // In Kolkata it is already November, and then still October.
        ("2026-10-31T18:30:00Z", "Asia/Kolkata", 1, "2026-10-31T18:30:00Z", "2026-11-30T18:30:00Z"),
        ("2026-10-31T18:29:59Z", "Asia/Kolkata", 1, "2026-09-30T18:30:00Z", "2026-10-31T18:30:00Z"),
        // An hour more than 31 days, and an hour less.
        ("2026-10-26T08:00:00Z", "Europe/Berlin", 1, "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
        ("2026-03-26T08:00:00Z", "Europe/Berlin", 1, "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
        // Half an hour less.
        ("2026-10-26T08:00:00Z", "Australia/Lord_Howe", 1, "2026-09-30T13:30:00Z", "2026-10-31T13:00:00Z"),
    ] {
        assert_eq!(
            asked(&Asked::Month(Month::This), now, zone, billing_day),
            pair(from, to),
            "{now} {zone} {billing_day}"
        );
    }
}

#[test]
fn the_last_month_is_the_one_before_it() {
    for (now, billing_day, from, to) in [
        ("2026-01-31T23:30:00Z", 1, "2025-12-31T23:00:00Z", "2026-01-31T23:00:00Z"),
        ("2026-03-31T12:00:00Z", 1, "2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z"),
        ("2026-04-14T21:59:00Z", 15, "2026-02-14T23:00:00Z", "2026-03-14T23:00:00Z"),
        ("2026-04-14T22:00:00Z", 15, "2026-03-14T23:00:00Z", "2026-04-14T22:00:00Z"),
        ("2026-03-28T12:00:00Z", 28, "2026-02-27T23:00:00Z", "2026-03-27T23:00:00Z"),
    ] {
        let last = Asked::Month("last".parse().unwrap());
        assert_eq!(asked(&last, now, "Europe/Berlin", billing_day), pair(from, to), "{now} {billing_day}");
    }
    assert_eq!("this".parse(), Ok(Month::This));
}

#[test]
fn a_month_begins_on_its_billing_day() {
    let month = Asked::Month("2026-11".parse().unwrap());
    let asked = |billing_day| asked(&month, "2027-05-05T05:05:00Z", "UTC", billing_day);
    assert_eq!(asked(1), pair("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"));
    assert_eq!(asked(28), pair("2026-11-28T00:00:00Z", "2026-12-28T00:00:00Z"));
}

#[test]
fn days_have_as_many_hours_as_they_have() {
    for (day, zone, from, to) in [
        ("2026-10-25", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("2026-03-29", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("2026-04-05", "Australia/Lord_Howe", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z"),
        ("2026-11-03", "Asia/Kolkata", "2026-11-02T18:30:00Z", "2026-11-03T18:30:00Z"),
        ("today", "Asia/Kolkata", "2026-11-25T18:30:00Z", "2026-11-26T18:30:00Z"),
        ("yesterday", "Asia/Kolkata", "2026-11-24T18:30:00Z", "2026-11-25T18:30:00Z"),
    ] {
        let day = Asked::Day(day.parse().unwrap());
        assert_eq!(asked(&day, "2026-11-26T08:00:00Z", zone, 1), pair(from, to), "{day:?} {zone}");
    }
}

#[test]
fn moments_are_those_of_the_zone_unless_they_say_otherwise() {
    let now = "2026-11-26T08:03:04Z";
    for (text, second) in [
        ("now", "2026-11-26T08:03:04Z"),
        ("today", "2026-11-25T23:00:00Z"),
        ("yesterday 22:00", "2026-11-25T21:00:00Z"),
        ("2026-11-03", "2026-11-02T23:00:00Z"),
        ("2026-11-03T10:05", "2026-11-03T09:05:00Z"),
        ("2026-11-03 10:05:06", "2026-11-03T09:05:06Z"),
        ("2026-11-03T10:05Z", "2026-11-03T10:05:00Z"),
        ("2026-11-03T10:05-03:30", "2026-11-03T13:35:00Z"),
        // A time that occurs twice, and one that the zone skips.
        ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),
        ("2026-03-29 02:30", "2026-03-29T01:30:00Z"),
        ("tomorrow", ""),
        ("2026-13-01", ""),
        ("10:05", ""),
        ("", ""),
    ] {
        let moment = text.parse::<Moment>().ok();
        let moment = moment.map(|moment| moment.second(time(now), &zone("Europe/Berlin")));
        assert_eq!(moment, Some(second).filter(|text| !text.is_empty()).map(|text| time(text).as_second()), "{text}");
    }
}

#[test]
fn no_offset_is_dropped_in_silence() {
    for text in
        ["yesterday 22:00+05:00", "today 22:00Z", "yesterday 22:00[Asia/Kolkata]", "2026-11-03 T22:00", "today 10pm"]
    {
        let error = text.parse::<Moment>().unwrap_err();
        assert_eq!(error, PeriodError::TimeOfDay(text.to_owned()));
        assert!(
            error.to_string().contains("--zone") && error.to_string().contains("2026-11-03T22:00+01:00"),
            "{error}"
        );
    }
    for text in ["yesterday ", "yesterday 25:00", "soon 22:00", "today 22:00:00.5.5"] {
        assert_eq!(text.parse::<Moment>(), Err(PeriodError::Moment(text.to_owned())));
    }
    for text in ["yesterday 22:00", "today 22:00:01.5", "2026-11-03T22:00"] {
        assert!(matches!(text.parse(), Ok(Moment::Local(..))), "{text}");
    }
}

#[test]
fn what_is_no_month_and_no_day_is_refused() {
    for text in ["2026-13", "2026", "2026-11-03", "11-2026", "+26-11", ""] {
        assert_eq!(text.parse::<Month>(), Err(PeriodError::Month(text.to_owned())));
    }
    for text in ["2026-11", "2026-02-30", "2026-11-03T10:00", "now", ""] {
        assert_eq!(text.parse::<Day>(), Err(PeriodError::Day(text.to_owned())));
    }
}

#[test]
fn a_period_is_widened_to_five_minutes() {
    assert_eq!(rounded(&(299..301)), 0..600);
    assert_eq!(rounded(&(300..600)), 300..600);
    assert_eq!(rounded(&(-1..0)), -300..0);
}

#[test]
fn no_length_and_no_moment_is_beyond_the_calendar() {
    let now = time("2026-11-26T08:00:00Z");
    let (first, last) = (Moment::At(Timestamp::MIN), Moment::At(Timestamp::MAX));
    for zone_name in ["UTC", "Pacific/Kiritimati", "America/Adak"] {
        let zone = zone(zone_name);
        for text in ["0000-01-01", "9999-12-30", "9999-12-31"] {
            let day: Day = text.parse().unwrap();
            let seconds = Asked::Day(day).seconds(now, &zone, 1);
            assert!(seconds.start <= seconds.end && seconds.end <= Timestamp::MAX.as_second(), "{text} {seconds:?}");
            let month = Asked::Month(text[..7].parse().unwrap()).seconds(now, &zone, 28);
            assert!(month.start <= month.end, "{text} {month:?}");
        }
        for asked in [Asked::Last(Duration::MAX), Asked::Between(first, last)] {
            let seconds = asked.seconds(now, &zone, 1);
            let rounded = rounded(&seconds);
            assert!(rounded.start <= seconds.start && seconds.end <= rounded.end, "{asked:?} {rounded:?}");
        }
    }
    assert_eq!(rounded(&(i64::MIN..i64::MAX)).start, i64::MIN, "no multiple of five minutes is less");
    assert_eq!(Asked::Last(Duration::MAX).seconds(now, &TimeZone::UTC, 1), 0..now.as_second());
}
