//! Quota steps, from the book's rows.

use std::sync::Arc;

use rusqlite::Connection;

use super::*;

struct Students;

impl GroupMembers for Students {
    fn is_member(&self, user: &str, group: &str) -> bool {
        (user, group) == ("bob", "students")
    }

    fn version(&self) -> u64 {
        0
    }
}

/// 1,000 bytes a month, for all users.
fn quota(name: &str) -> Quota {
    Quota {
        name: name.to_owned(),
        users: Vec::new(),
        groups: Vec::new(),
        units: Vec::new(),
        classes: Vec::new(),
        period: QuotaPeriod::Month,
        direction: Direction::Both,
        limit: 1_000,
        warn: vec![80, 100],
    }
}

fn quotas(list: &[Quota]) -> Quotas {
    Quotas::new(list.to_vec(), Arc::new(Students))
}

/// Books what these accounts moved up to `end`; returns the steps reached.
fn book(
    book: &mut Book,
    quotas: &mut Quotas,
    seq: u64,
    end: u64,
    moved: &[(AccountKey, Bytes)],
) -> Vec<(String, u32, u64)> {
    let mut told = Vec::new();
    let tell = |reached: &[Reached]| {
        told = reached.iter().map(|reached| (reached.quota.clone(), reached.step, reached.used)).collect();
        Some("told".to_owned())
    };
    book.commit_watching(&commit(seq, at(end), moved), &Telling::default(), Some(quotas), tell).unwrap();
    told
}

fn step(name: &str, percent: u32, used: u64) -> (String, u32, u64) {
    (name.to_owned(), percent, used)
}

#[test]
fn each_step_is_told_once_in_a_period_also_by_another_life() {
    let (_folder, path) = folder();
    let mut all = quotas(&[quota("all")]);
    let ada = |sent, received| [(user(1, Some("ada")), bytes(sent, received))];
    let (mut first, _) = open(&path);
    assert_eq!(self::book(&mut first, &mut all, 1, BEGIN_S + 60, &ada(700, 99)), []);
    assert_eq!(self::book(&mut first, &mut all, 2, BEGIN_S + 120, &ada(0, 1)), [step("all", 80, 800)]);
    assert_eq!(self::book(&mut first, &mut all, 3, BEGIN_S + 180, &ada(0, 1)), []);
    drop(first);
    let (mut next, _) = Book::open(&Opening { now: at(BEGIN_S + 200), ..opening(&path) }).unwrap();
    let mut all = quotas(&[quota("all")]);
    // On the next day, so that a part of it is in the past.
    let day = BEGIN_S + 86_400;
    assert_eq!(self::book(&mut next, &mut all, 1, day, &ada(198, 0)), []);
    assert_eq!(self::book(&mut next, &mut all, 2, day + 60, &ada(1, 0)), [step("all", 100, 1_000)]);
    assert_eq!(self::book(&mut next, &mut all, 3, day + 120, &ada(5_000, 0)), []);
    // December begins at midnight five days later.
    let december = BEGIN_S + 5 * 86_400;
    let both = [step("all", 80, 2_000), step("all", 100, 2_000)];
    assert_eq!(self::book(&mut next, &mut all, 4, december, &ada(2_000, 0)), both);
    // A late report belongs to its own month, whose steps were already reported.
    assert_eq!(self::book(&mut next, &mut all, 5, day + 180, &ada(2_000, 0)), []);
}

#[test]
fn a_step_is_told_with_its_report_or_not_at_all() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let mut all = quotas(&[quota("all")]);
    let much = commit(1, at(BEGIN_S + 60), &[(user(1, Some("ada")), bytes(900, 0))]);
    book.commit(&Commit { moved: Vec::new(), ..much.clone() }).unwrap();
    // It fails because the report's number is taken.
    assert!(book.commit_watching(&much, &Telling::default(), Some(&mut all), |_| None).is_err());
    assert_eq!(number(&book, "SELECT count(*) FROM quota_step"), 0);
    let ada = [(user(1, Some("ada")), bytes(900, 0))];
    assert_eq!(self::book(&mut book, &mut all, 2, BEGIN_S + 120, &ada), [step("all", 80, 900)]);
    assert_eq!(number(&book, "SELECT count(*) FROM outbox"), 1);
}

#[test]
fn only_those_who_are_named_count_in_the_direction_that_is_named() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut all = quotas(&[
        Quota { direction: Direction::Sent, warn: vec![1], limit: 100, ..quota("sent") },
        Quota { direction: Direction::Received, warn: vec![1], limit: 100, ..quota("received") },
        Quota { users: named(&["ada"]), warn: vec![1], limit: 100, ..quota("ada") },
        Quota { users: named(&["2"]), warn: vec![1], limit: 100, ..quota("by number") },
        Quota { groups: named(&["students"]), warn: vec![1], limit: 100, ..quota("group") },
        Quota { users: named(&["ada"]), groups: named(&["students"]), warn: vec![1], limit: 100, ..quota("both") },
        Quota { units: named(&["x.service"]), warn: vec![1], limit: 100, ..quota("unit") },
        Quota { units: named(&["x.service"]), users: named(&["bob"]), warn: vec![1], limit: 100, ..quota("neither") },
        Quota { classes: named(&["lan"]), warn: vec![1], limit: 100, ..quota("class") },
        Quota { period: QuotaPeriod::Day, warn: vec![1, 5], limit: 2_000, ..quota("day") },
    ]);
    let nobody =
        AccountKey { kind: AccountKind::Unattributed, uid: None, user: None, program: None, unit: None, class: None };
    let service = AccountKey { unit: Some("x.service".into()), ..user(1, Some("ada")) };
    let moved = [
        (user(1, Some("ada")), bytes(1, 2)),
        (service, bytes(4, 8)),
        (user(2, Some("bob")), bytes(16, 32)),
        (nobody, bytes(64, 128)),
    ];
    let told = self::book(&mut book, &mut all, 1, BEGIN_S + 60, &moved);
    let expected = [
        step("sent", 1, 85),
        step("received", 1, 170),
        step("ada", 1, 15),
        step("by number", 1, 48),
        step("group", 1, 48),
        step("both", 1, 63),
        step("unit", 1, 12),
        step("day", 1, 255),
        step("day", 5, 255),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_another_process_books_counts_at_the_next_report() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let mut all = quotas(&[quota("all")]);
    let ada = |sent| [(user(1, Some("ada")), bytes(sent, 0))];
    assert_eq!(self::book(&mut book, &mut all, 1, BEGIN_S + 60, &ada(1)), []);
    let other = Connection::open(&path).unwrap();
    other.execute("INSERT INTO past_day VALUES('2026-11-01', 1, 898, 0)", []).unwrap();
    assert_eq!(self::book(&mut book, &mut all, 2, BEGIN_S + 120, &ada(1)), [step("all", 80, 900)]);
    // A changed limit has its own steps.
    let mut more = quotas(&[Quota { limit: 1_001, ..quota("all") }]);
    assert_eq!(self::book(&mut book, &mut more, 3, BEGIN_S + 180, &ada(1)), [step("all", 80, 901)]);
}

#[test]
fn what_does_not_fit_into_64_bits_keeps_no_report_out() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let mut all = quotas(&[quota("all")]);
    let other = Connection::open(&path).unwrap();
    self::book(&mut book, &mut all, 1, BEGIN_S + 60, &[(user(1, Some("ada")), bytes(1, 0))]);
    for day in ["2026-11-01", "2026-11-02"] {
        other.execute("INSERT INTO past_day VALUES(?1, 1, 0x7fffffffffffffff, 0)", [day]).unwrap();
    }
    let told = self::book(&mut book, &mut all, 2, BEGIN_S + 120, &[(user(1, Some("ada")), bytes(0, 1))]);
    // Twice the greatest number that a row holds, and two more.
    assert_eq!(told, [step("all", 80, u64::MAX), step("all", 100, u64::MAX)]);
}

#[test]
fn bytes_of_former_days_count_for_a_name_as_soon_as_it_is_known() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let mut all = quotas(&[Quota { users: vec!["ada".to_owned()], ..quota("ada") }]);
    let day = BEGIN_S + 86_400;
    let moved = |name, sent| [(user(1, name), bytes(sent, 0))];
    assert_eq!(self::book(&mut book, &mut all, 1, BEGIN_S + 60, &moved(None, 790)), []);
    assert_eq!(self::book(&mut book, &mut all, 2, day, &moved(None, 9)), []);
    assert_eq!(self::book(&mut book, &mut all, 3, day + 60, &moved(Some("ada"), 1)), [step("ada", 80, 800)]);
}

#[test]
fn a_container_is_named_by_the_first_digits_of_its_id() {
    let id = "0123456789abcdef".repeat(4);
    let of = |unit: &str| AccountKey { unit: Some(unit.into()), ..user(1, Some("ada")) };
    let quota = Quota { units: vec![id[..12].to_owned(), "docker:fedcba987654".to_owned()], ..quota("container") };
    assert!(quota.has(&of(&format!("docker-{id}.scope")), &Students));
    assert!(quota.has(&of(&format!("docker-fedcba987654{}.scope", &id[12..])), &Students));
    assert!(!quota.has(&of(&format!("docker-f{}.scope", &id[1..])), &Students));
}
