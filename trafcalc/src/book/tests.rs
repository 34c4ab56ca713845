use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use tempfile::TempDir;

use super::schema::beside;
use super::*;
use crate::capture::{Baseline, Bytes, Endpoints, FlowNote, OpenNotes, StreamNote};

mod closing;
mod cost;
mod disk;
mod editor;
mod files;
mod import;
mod killed;
mod names;
mod outbox;
mod property;
mod quotas;
mod recent;
mod zones;

/// 2026-11-26T01:00:00Z.
const BEGIN_S: u64 = 1_795_654_800;
/// The first epoch of a book begun then.
const EPOCH: i64 = BEGIN_S.cast_signed() * 1_000;
const SINKS: &[&str] = &["log"];

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.db");
    (folder, path)
}

fn opening(path: &Path) -> Opening<'_> {
    Opening {
        path,
        zone: TimeZone::UTC,
        billing_day: 1,
        boot_id: "boot",
        version: "0.1.0",
        settings: "{}",
        sinks: SINKS,
        now: at(BEGIN_S),
    }
}

fn open(path: &Path) -> (Book, Opened) {
    Book::open(&opening(path)).unwrap()
}

fn user(uid: u32, name: Option<&str>) -> AccountKey {
    AccountKey {
        kind: AccountKind::User,
        uid: Some(uid),
        user: name.map(str::to_owned),
        program: None,
        unit: None,
        class: None,
    }
}

fn bytes(sent: u64, received: u64) -> Bytes {
    Bytes { sent, received }
}

/// A report on the minute that ends at `end`.
fn commit(seq: u64, end: SystemTime, moved: &[(AccountKey, Bytes)]) -> Commit {
    Commit {
        seq,
        start: end - Duration::from_mins(1),
        end,
        monotonic: Duration::from_mins(1),
        moved: moved.iter().map(|(account, bytes)| Moved { account: account.clone(), bytes: *bytes }).collect(),
        baseline: None,
        health: "{}".to_owned(),
        records: None,
        gaps: Vec::new(),
        open: OpenNotes::default(),
        ended: false,
    }
}

fn number(book: &Book, sql: &str) -> i64 {
    book.connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The sums of a table, which must be the same in all tables.
fn sums(book: &Book, table: &str) -> Bytes {
    let ask = format!("SELECT ifnull(sum(sent), 0), ifnull(sum(received), 0) FROM {table}");
    book.connection.query_row(&ask, [], |row| Ok(bytes(row.get(0)?, row.get(1)?))).unwrap()
}

#[track_caller]
fn assert_all_sums(book: &Book, truth: Bytes) {
    for table in ["fine", "hour", "day", "total", "report"] {
        assert_eq!(sums(book, table), truth, "{table}");
    }
}

#[test]
fn the_next_life_finds_what_was_booked() {
    let (_folder, path) = folder();
    let (mut book, opened) = open(&path);
    assert_eq!((opened.epoch, opened.begun), (EPOCH, at(BEGIN_S)));
    assert_eq!((opened.totals, opened.baseline, opened.last, opened.set_aside), (vec![], None, None, None));
    let unit = AccountKey { unit: Some("ssh.service".into()), ..user(0, Some("root")) };
    let moved = [(user(7, Some("ada")), bytes(1, 2)), (unit.clone(), bytes(3, 4)), (user(7, Some("ada")), bytes(5, 6))];
    let all = Baseline { map: "one".into(), rows: vec![(3, bytes(u64::MAX, 1)), (9, bytes(2, 2)), (10, bytes(1, 1))] };
    book.commit(&Commit { baseline: Some(all), ..commit(1, at(BEGIN_S + 60), &moved) }).unwrap();
    let changed = Baseline { map: "one".into(), rows: vec![(9, bytes(4, 2)), (10, Bytes::default())] };
    let gap = Gap { from: at(1), to: at(2), cause: "stopped".to_owned() };
    let second = commit(2, at(BEGIN_S + 120), &[(user(7, Some("ada")), bytes(10, 10))]);
    book.commit(&Commit { baseline: Some(changed), gaps: vec![gap], ended: true, ..second }).unwrap();
    assert_eq!(number(&book, "SELECT to_us - from_us FROM gap WHERE cause = 'stopped'"), 1_000_000);
    assert_all_sums(&book, bytes(19, 22));
    drop(book);

    let (_book, opened) = Book::open(&Opening { now: at(BEGIN_S - 10), boot_id: "next", ..opening(&path) }).unwrap();
    assert_eq!(opened.begun, at(BEGIN_S));
    assert_eq!(opened.epoch, EPOCH + 1, "an epoch is later than all before, whatever the clock says");
    assert_eq!(opened.totals, [(user(7, Some("ada")), bytes(16, 18)), (unit, bytes(3, 4))]);
    let rows = vec![(3, bytes(u64::MAX, 1)), (9, bytes(4, 2))];
    assert_eq!(opened.baseline, Some(Baseline { map: "one".into(), rows }));
    let (epoch, end) = (EPOCH, at(BEGIN_S + 120));
    assert_eq!(opened.last, Some(Last { epoch, seq: 2, end, is_of_this_boot: false, ended: true }));
}

#[test]
fn connections_that_were_open_at_the_end_are_found_until_something_is_booked() {
    let (_folder, path) = folder();
    let note = |sent_base| StreamNote { sent: u64::MAX - 7, received: 2, sent_base, received_base: 4, flags: 2 };
    let endpoints = Endpoints {
        local: Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped(),
        local_port: 1,
        remote: "fd00::2".parse().unwrap(),
        remote_port: u16::MAX,
    };
    let flow = |cookie, uid| {
        let (sent, received, sent_total, received_total) = (u32::MAX, 1, u64::MAX, 2);
        FlowNote { cookie, endpoints, uid, sent, received, sent_total, received_total }
    };
    let flows = vec![flow(u64::MAX, None), flow(3, Some(u32::MAX))];
    let notes = OpenNotes { streams: vec![note(5), note(u32::MAX)], flows, scope: "all".to_owned() };
    let nothing = OpenNotes::default();
    let close = |book: &mut Book, seq, open: &OpenNotes, ended| {
        book.commit(&Commit { open: open.clone(), ended, ..commit(seq, at(BEGIN_S + 60), &[]) }).unwrap();
    };
    let next = |boot_id| Book::open(&Opening { boot_id, ..opening(&path) }).unwrap();
    let (mut book, opened) = open(&path);
    assert_eq!(opened.open, nothing);
    close(&mut book, 1, &notes, true);
    drop(book);
    assert_eq!(next("boot").1.open, notes, "a life that booked nothing has counted nothing");
    assert_eq!(next("another").1.open, nothing, "addresses are those of one boot");
    let (mut book, _) = next("boot");
    close(&mut book, 1, &nothing, false);
    drop(book);
    assert_eq!(next("boot").1.open, nothing);
}

#[test]
fn counters_of_another_map_replace_those_of_the_former() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let read = |map: &str, rows| Some(Baseline { map: map.into(), rows });
    book.commit(&Commit { baseline: read("one", vec![(1, bytes(1, 1))]), ..commit(1, at(BEGIN_S), &[]) }).unwrap();
    book.commit(&Commit { baseline: read("two", vec![(2, bytes(2, 2))]), ..commit(2, at(BEGIN_S), &[]) }).unwrap();
    drop(book);
    assert_eq!(open(&path).1.baseline, read("two", vec![(2, bytes(2, 2))]));
}

#[test]
fn no_report_is_booked_twice() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let report = commit(1, at(BEGIN_S), &[(user(1, None), bytes(1, 1))]);
    book.commit(&report).unwrap();
    book.commit(&report).unwrap_err();
    assert_all_sums(&book, bytes(1, 1));
}

#[test]
fn more_bytes_than_a_column_holds_stop_at_its_end() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    for seq in 1..=3 {
        let most = bytes(u64::MAX, u64::MAX / 2 - 1);
        book.commit(&commit(seq, at(BEGIN_S), &[(user(1, None), most), (user(1, None), most)])).unwrap();
    }
    drop(book);
    let most = u64::MAX / 2;
    assert_eq!(open(&path).1.totals, [(user(1, None), bytes(most, most))]);
}

#[test]
fn old_rows_go_and_sums_stay() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let day = Duration::from_hours(24);
    for number in 0..3 {
        let report =
            commit(number, at(BEGIN_S) + day * 2 * u32::try_from(number).unwrap(), &[(user(1, None), bytes(1, 1))]);
        book.commit(&Commit { records: Some("r".to_owned()), ..report }).unwrap();
    }
    // A day minus the last microsecond: a row begins up to five minutes before the last report in it ends.
    assert_eq!(book.trim(at(BEGIN_S) + FINE_KEPT - Duration::from_mins(5)).unwrap(), Trimmed::default());
    assert_eq!(
        book.trim(at(BEGIN_S) + HOURS_KEPT + day * 9).unwrap(),
        Trimmed { fine: 1, hours: 1, reports: 1, untold: 1 }
    );
    assert_eq!(
        book.trim(at(BEGIN_S) + FINE_KEPT + day * 3).unwrap(),
        Trimmed { fine: 1, hours: 0, reports: 1, untold: 1 }
    );
    let last = book.trim(at(BEGIN_S) + HOURS_KEPT + day * 9).unwrap();
    assert_eq!(last, Trimmed { fine: 0, hours: 1, reports: 0, untold: 0 }, "the last report stays");
    assert_eq!((sums(&book, "total"), sums(&book, "day")), (bytes(3, 3), bytes(3, 3)));
}
