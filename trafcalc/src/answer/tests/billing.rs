//! Months from the 15th to the 14th: reports, quotas and closed months agree, across clock changes and ends of months.

use super::*;
use crate::book::{Direction, Quota, QuotaPeriod, Quotas, Telling};
use crate::history::{self, BookOf};

struct Nobody;

impl crate::book::GroupMembers for Nobody {
    fn is_member(&self, _: &str, _: &str) -> bool {
        false
    }

    fn version(&self) -> u64 {
        0
    }
}

/// Moments around the ends of billing months in Berlin, with different bytes, so that the sums of the months differ.
const MOVED: [(&str, u64); 8] = [
    ("2026-03-14T22:59:00Z", 1),
    ("2026-03-14T23:01:00Z", 10),
    ("2026-03-29T00:30:00Z", 100),
    ("2026-04-14T21:59:00Z", 1_000),
    ("2026-04-14T22:01:00Z", 10_000),
    ("2026-10-14T22:01:00Z", 100_000),
    ("2026-11-14T22:59:00Z", 1_000_000),
    ("2026-11-14T23:01:00Z", 10_000_000),
];

/// The months of these bytes, with their days and sums.
const MONTHS: [(&str, &str, &str, u64); 4] = [
    ("2026-02", "2026-02-14T23:00:00Z", "2026-03-14T23:00:00Z", 1),
    ("2026-03", "2026-03-14T23:00:00Z", "2026-04-14T22:00:00Z", 1_110),
    ("2026-04", "2026-04-14T22:00:00Z", "2026-05-14T22:00:00Z", 10_000),
    ("2026-10", "2026-10-14T22:00:00Z", "2026-11-14T23:00:00Z", 1_100_000),
];

fn quota() -> Quota {
    Quota {
        name: "all".to_owned(),
        users: Vec::new(),
        groups: Vec::new(),
        units: Vec::new(),
        classes: Vec::new(),
        period: QuotaPeriod::Month,
        direction: Direction::Sent,
        limit: 1,
        warn: vec![100],
    }
}

/// A book with these bytes, and the quota steps that they reached: the period, and the bytes used in it.
fn book(folder: &Path) -> (PathBuf, Vec<(Range<i64>, u64)>) {
    let path = folder.join("book.db");
    let opening = Opening { billing_day: 15, ..opening(&path, zone(BERLIN), time("2026-03-01T00:00:00Z")) };
    let (mut book, _) = Book::open(&opening).unwrap();
    let mut quotas = Quotas::new(vec![quota()], Arc::new(Nobody));
    let mut reached = Vec::new();
    for (seq, (at, sent)) in (1..).zip(MOVED) {
        let moved = vec![Moved { account: account(1000, Some("ada"), None, None), bytes: Bytes { sent, received: 0 } }];
        let tell = |steps: &[crate::book::Reached]| {
            reached.extend(steps.iter().map(|step| (step.seconds.clone(), step.used)));
            None
        };
        book.commit_watching(&commit(seq, time(at), moved), &Telling::default(), Some(&mut quotas), tell).unwrap();
    }
    (path, reached)
}

#[test]
fn reports_quotas_and_closed_months_have_the_same_billing_day() {
    let folder = tempfile::tempdir().unwrap();
    let (path, reached) = book(folder.path());
    let seconds = |from: &str, to: &str| time(from).as_second()..time(to).as_second();
    // The first report of each month reaches the quota, which is one byte.
    let firsts = [1, 10, 10_000, 100_000, 10_000_000];
    assert_eq!(reached.iter().map(|(_, used)| *used).collect::<Vec<_>>(), firsts);
    let told: Vec<_> = reached.iter().map(|(seconds, _)| seconds.clone()).collect();
    let (config, now) = (folder.path().join("trafcalc.toml"), time("2026-12-01T00:00:00Z"));
    std::fs::write(&config, "[[quota]]\nname = 'all'\nlimit = '1GB'\ndirection = 'sent'\n").unwrap();
    let reader = || Reader::open(&path).unwrap();
    for (month, from, to, sent) in MONTHS {
        assert!(told.contains(&seconds(from, to)), "{month}");
        let question = Question { asked: Asked::Month(month.parse().unwrap()), ..question() };
        let answer = ask(&reader(), &question, now).unwrap();
        assert_eq!((answer.period, answer.total.bytes.sent), (seconds(from, to), sent));
        let (book, config) = (Some(path.clone()), Some(config.clone()));
        let request = QuotaRequest { book: book.clone(), config, is_json: true };
        let last = time(to) - Duration::from_secs(1);
        let told: serde_json::Value = serde_json::from_str(&quotas(&request, &Nobody, last).unwrap().0).unwrap();
        assert_eq!(told["quotas"][0]["used_bytes"], sent, "{month}");
        let closed = history::close(&BookOf { book, config: None }, month.parse().unwrap(), 0, now).unwrap();
        assert!(closed.starts_with(&format!("{month} (2026-")), "{closed}");
        assert!(closed.contains(&format!("-14) is closed: {sent} bytes sent")), "{closed}");
    }
    let all = Question { asked: between("2026-03-01", "2026-12-01"), each: Some(Each::Month), ..question() };
    let sums = |answer: &Answer| answer.rows.iter().map(|row| row.figures.bytes.sent).collect::<Vec<_>>();
    assert_eq!(sums(&ask(&reader(), &all, now).unwrap()), [1, 1_110, 10_000, 1_100_000, 10_000_000]);
    // A question may name another billing day.
    let calendar = Question { billing_day: Some(1), ..all };
    assert_eq!(sums(&ask(&reader(), &calendar, now).unwrap()), [111, 11_000, 100_000, 11_000_000]);
}

#[test]
fn what_comes_late_for_a_closed_month_goes_behind_its_last_day() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = book(folder.path());
    let (month, now) = ("2026-03".parse().unwrap(), time("2026-12-01T00:00:00Z"));
    let of = BookOf { book: Some(path.clone()), config: None };
    history::close(&of, month, 0, now).unwrap();
    let early = history::close(&of, "2026-11".parse().unwrap(), 0, now).unwrap_err().to_string();
    assert!(early.starts_with("2026-11 (2026-11-15 to 2026-12-14) is not over in Europe/Berlin"), "{early}");
    let again = history::close(&of, month, 0, now).unwrap_err().to_string();
    assert!(again.starts_with("2026-03 (2026-03-15 to 2026-04-14) is closed already"), "{again}");
    // An epoch with another billing day does not change the closed month.
    let (mut book, _) = Book::open(&opening(&path, zone(BERLIN), now)).unwrap();
    for (seq, at) in (1..).zip(["2026-03-20T12:00:00Z", "2026-04-10T12:00:00Z", "2026-03-10T12:00:00Z"]) {
        let moved =
            vec![Moved { account: account(1000, Some("ada"), None, None), bytes: Bytes { sent: 5, received: 0 } }];
        book.commit(&commit(seq, time(at), moved)).unwrap();
    }
    let sent = |day: &str| {
        let question = Question { asked: Asked::Day(day.parse().unwrap()), ..question() };
        ask(&Reader::open(&path).unwrap(), &question, now).unwrap().total.bytes.sent
    };
    assert_eq!((sent("2026-03-20"), sent("2026-04-10"), sent("2026-03-10"), sent("2026-04-15")), (0, 0, 5, 10_010));
    assert!(history::check(&of).unwrap().1);
}
