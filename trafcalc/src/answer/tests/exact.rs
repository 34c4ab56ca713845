use super::*;

#[test]
fn every_figure_is_the_truth() {
    use Dimension::{Program, Unit, User};
    let (history, berlin) = (History::of_berlin(), zone(BERLIN));
    let month = |text: &str| Asked::Month(text.parse().unwrap());
    let day = |text: &str| Asked::Day(text.parse().unwrap());
    let periods = [
        (Asked::Month(Month::This), 1, "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"),
        (month("2026-10"), 1, "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
        (month("2026-10"), 15, "2026-10-14T22:00:00Z", "2026-11-14T23:00:00Z"),
        (Asked::Month(Month::This), 27, "2026-10-26T23:00:00Z", "2026-11-26T23:00:00Z"),
        // 25 hours.
        (day("2026-10-25"), 1, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        (day("yesterday"), 1, "2026-11-24T23:00:00Z", "2026-11-25T23:00:00Z"),
        (day("today"), 1, "2026-11-25T23:00:00Z", "2026-11-26T23:00:00Z"),
        // Partial hours at both ends, whole days in between.
        (between("2026-10-24 13:25", "2026-11-09 02:40"), 1, "2026-10-24T11:25:00Z", "2026-11-09T01:40:00Z"),
        (between("2026-10-25T02:30+01:00", "2026-10-25 04:00"), 1, "2026-10-25T01:30:00Z", "2026-10-25T03:00:00Z"),
        // Whole hours at a time whose five-minute rows are gone.
        (between("2026-10-12 07:00", "2026-10-13 22:00"), 1, "2026-10-12T05:00:00Z", "2026-10-13T20:00:00Z"),
        (Asked::Last(Duration::from_hours(24 * 30)), 1, "2026-10-27T08:00:00Z", "2026-11-26T08:05:00Z"),
        (between("yesterday", "now"), 1, "2026-11-24T23:00:00Z", "2026-11-26T08:05:00Z"),
    ];
    for (asked, billing_day, from, to) in &periods {
        for by in [vec![User], vec![Unit], vec![Program], vec![Unit, User, Program]] {
            for each in [None, Some(Each::Hour), Some(Each::Day), Some(Each::Month)] {
                let asked = asked.clone();
                let question = Question { by: by.clone(), asked, each, billing_day: Some(*billing_day), ..question() };
                history.check(&question, &berlin, from, to);
            }
        }
    }
}

#[test]
fn so_long_up_to_now_begins_with_the_hour_or_day_that_is_still_told() {
    let (history, berlin) = (History::of_berlin(), zone(BERLIN));
    let last = |hours| Question { asked: Asked::Last(Duration::from_hours(hours)), ..question() };
    // That long ago, five-minute rows are gone.
    let answer = history.check(&last(24 * 40), &berlin, "2026-10-17T08:00:00Z", "2026-11-26T08:05:00Z");
    let note = "The period was widened to full hours, the shortest rows that the book still has of its beginning.";
    assert_eq!(answer.notes, [note]);
    let whole_hours = history.ask_at("2026-11-26T08:00:00Z", &last(24 * 40)).unwrap();
    assert!(whole_hours.notes.is_empty(), "{:?}", whole_hours.notes);
    let answer = history.check(&last(24 * 30), &berlin, "2026-10-27T08:00:00Z", "2026-11-26T08:05:00Z");
    assert_eq!(answer.notes, ["The period was widened to full five minutes, the shortest rows of the book."]);
    // Before the book's beginning there is nothing to widen.
    let answer = history.check(&last(24 * 80), &berlin, "2026-09-07T08:00:00Z", "2026-11-26T08:05:00Z");
    assert!(answer.notes[0].contains("five minutes"), "{:?}", answer.notes);
    // Nor an hour of another zone.
    let error = history.ask(&Question { zone: Some(zone("Asia/Kolkata")), ..last(24 * 40) }).unwrap_err();
    assert!(matches!(error, AnswerError::Removed { .. }), "{error}");
}

#[test]
fn so_long_up_to_now_begins_with_the_day_where_hours_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.db");
    let (mut book, _) = Book::open(&opening(&path, zone(BERLIN), time("2022-01-01T00:00:00Z"))).unwrap();
    for (seq, at) in [(1, "2022-06-01T05:00:00.5Z"), (2, "2026-11-26T08:02:00.5Z")] {
        let moved = vec![Moved { account: accounts()[0].clone(), bytes: Bytes { sent: 5, received: 0 } }];
        book.commit(&commit(seq, time(at), moved)).unwrap();
    }
    book.trim(system(time(END))).unwrap();
    let last = time(END).as_second() - time("2022-06-01T12:34:00Z").as_second();
    let asked = Asked::Last(Duration::from_secs(last.unsigned_abs()));
    let answer = ask(&Reader::open(&path).unwrap(), &Question { asked, ..question() }, time(END)).unwrap();
    assert_eq!((answer.period.start, answer.total.bytes.sent), (time("2022-05-31T22:00:00Z").as_second(), 10));
    assert!(answer.notes[0].contains("full days"), "{:?}", answer.notes);
}

#[test]
fn filters_leave_only_what_is_asked_for() {
    let (history, berlin) = (History::of_berlin(), zone(BERLIN));
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    for (users, units, programs) in [
        (&["alice"][..], &[][..], &[][..]),
        (&["1001"], &[], &[]),
        (&["bob", "1005"], &[], &[]),
        (&[], &["ssh.service"], &[]),
        (&["alice", "carol"], &["ssh.service"], &["rsync"]),
    ] {
        let only = Only { users: names(users), units: names(units), programs: names(programs), ..Only::default() };
        let question = Question { only, each: Some(Each::Day), ..question() };
        history.check(&question, &berlin, "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z");
    }
}

#[test]
fn another_zone_is_told_by_the_hours_it_has_too_and_by_five_minutes() {
    let history = History::of_berlin();
    for (name, from, to) in [
        ("Europe/London", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("Asia/Kolkata", "2026-10-31T18:30:00Z", "2026-11-30T18:30:00Z"),
        ("America/St_Johns", "2026-11-01T02:30:00Z", "2026-12-01T03:30:00Z"),
    ] {
        for each in [None, Some(Each::Hour), Some(Each::Day)] {
            let question = Question { zone: Some(zone(name)), each, ..question() };
            history.check(&question, &zone(name), from, to);
        }
    }
    // Before the oldest five-minute rows, across the end of summer time, and before the book's first hour.
    for each in [None, Some(Each::Hour), Some(Each::Day), Some(Each::Month)] {
        let asked = Asked::Month("2026-10".parse().unwrap());
        let question = Question { zone: Some(zone("Europe/London")), each, asked, ..question() };
        history.check(&question, &zone("Europe/London"), "2026-09-30T23:00:00Z", "2026-11-01T00:00:00Z");
    }
}

#[test]
fn lives_with_other_zones_do_not_mix() {
    // The zone of the last epoch is that of the book.
    for zones in [[BERLIN, "Asia/Kolkata"], ["Pacific/Kiritimati", "Pacific/Pago_Pago"]] {
        let history = History::of(zones);
        let zone = zone(zones[1]);
        for each in [None, Some(Each::Hour), Some(Each::Day)] {
            // As far back as there are five-minute rows.
            let question = Question { asked: between("2026-10-24", "now"), each, ..question() };
            let from = "2026-10-24".parse::<Date>().unwrap().to_zoned_datetime(zone.clone()).unwrap().timestamp();
            history.check(&question, &zone, &from.to_string(), "2026-11-26T08:05:00Z");
            let older = Question { asked: between("2026-10-13", "now"), ..question };
            if zones[0] != BERLIN {
                // Both zones have the same hours.
                let from = "2026-10-13".parse::<Date>().unwrap().to_zoned_datetime(zone.clone()).unwrap().timestamp();
                history.check(&older, &zone, &from.to_string(), "2026-11-26T08:05:00Z");
                continue;
            }
            let AnswerError::Removed { needs, help, .. } = history.ask(&older).unwrap_err() else { panic!("told") };
            assert!(needs.contains(zones[0]) && help.contains(zones[0]), "{needs}; {help}");
        }
    }
}

#[test]
fn others_are_one_row_and_the_sum_is_that_of_all() {
    let history = History::of_berlin();
    let all = history.ask(&question()).unwrap();
    let top = history.ask(&Question { top: Some(2), ..question() }).unwrap();
    assert_eq!((&top.rows[..2], top.total), (&all.rows[..2], all.total));
    let others = all.rows[2..].iter().map(|row| row.figures.bytes).fold(Bytes::default(), rows::sum);
    assert_eq!((&top.rows[2].label, top.rows[2].figures.bytes), (&Label::Others(all.rows.len() - 2), others));
    assert_eq!(top.rows.len(), 3);
    let many = Question { top: Some(99), ..question() };
    assert_eq!(history.ask(&many).unwrap().rows, all.rows);
    let by_day = history.ask(&Question { top: Some(1), each: Some(Each::Day), ..question() }).unwrap();
    let sum = by_day.rows.iter().map(|row| row.figures.bytes).fold(Bytes::default(), rows::sum);
    assert_eq!(sum, all.total.bytes);
}

#[test]
fn gaps_are_told_cut_to_the_period() {
    let history = History::of_berlin();
    let ends = |question: &Question| {
        let gaps = history.ask(question).unwrap().gaps.0;
        gaps.iter().map(|gap| [gap.from, gap.to].map(|at| Timestamp::try_from(at).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(ends(&question()), [[time(GAP.0), time(GAP.1)]]);
    let day = Question { asked: Asked::Day("2026-11-05".parse().unwrap()), ..question() };
    assert_eq!(ends(&day), [[time("2026-11-04T23:00:00Z"), time("2026-11-05T23:00:00Z")]]);
    let after = Question { asked: between("2026-11-06T11:00Z", "now"), ..question() };
    assert!(ends(&after).is_empty());
}

/// Computed from the truth by the definition.
fn percentile(history: &History, period: &Range<i64>, whose: impl Fn(&AccountKey) -> bool) -> Rates {
    let mut slots: BTreeMap<i64, Bytes> = BTreeMap::new();
    for start in (period.start..period.end).step_by(300) {
        slots.insert(start, Bytes::default());
    }
    for (at, key, bytes) in history.truth.iter().filter(|(at, ..)| period.contains(&at.as_second())) {
        if whose(key) {
            *slots.get_mut(&(at.as_second().div_euclid(300) * 300)).unwrap() += *bytes;
        }
    }
    let rate = |of: fn(&Bytes) -> u64| {
        let mut samples: Vec<_> = slots.values().map(of).collect();
        samples.sort_unstable();
        let bytes = samples[samples.len() - samples.len() * 5 / 100 - 1];
        (bytes * 8 + 150) / 300
    };
    Rates { sent: rate(|bytes| bytes.sent), received: rate(|bytes| bytes.received) }
}

#[test]
fn percentiles_are_those_of_all_five_minutes_that_the_book_is_of() {
    let history = History::of_berlin();
    let question = Question { percentile: Some(95), top: Some(1), ..question() };
    let answer = history.ask(&question).unwrap();
    // Up to the last report, which is within the last five minutes.
    let counted = time("2026-10-31T23:00:00Z").as_second()..time("2026-11-26T08:05:00Z").as_second();
    let total = percentile(&history, &counted, |_| true);
    assert_eq!(answer.total.rates, Some(total));
    let Label::One(first) = &answer.rows[0].label else { panic!("nobody is told") };
    let one = percentile(&history, &counted, |key| whose(key, &question.by) == *first);
    let others = percentile(&history, &counted, |key| whose(key, &question.by) != *first);
    assert_eq!([answer.rows[0].figures.rates, answer.rows[1].figures.rates], [Some(one), Some(others)]);
    assert!(total.highest() > 0 && others.highest() > 0);
}

#[test]
fn an_estimate_goes_on_as_what_was_counted() {
    let history = History::of_berlin();
    let answer = history.ask(&Question { is_estimated: true, ..question() }).unwrap();
    let gap_s = time(GAP.1).as_second() - time(GAP.0).as_second();
    let counted_s = time(END).as_second() - time("2026-10-31T23:00:00Z").as_second() - gap_s;
    let left_s = time("2026-11-30T23:00:00Z").as_second() - time(END).as_second();
    let grown = |bytes: u64| {
        let all = u128::from(bytes) * u128::try_from(counted_s + left_s).unwrap() / u128::try_from(counted_s).unwrap();
        u64::try_from(all).unwrap()
    };
    let Bytes { sent, received } = answer.total.bytes;
    assert_eq!(answer.total.estimate, Some(Bytes { sent: grown(sent), received: grown(received) }));
    assert!(answer.rows.iter().all(|row| row.figures.estimate.is_some()));
}
