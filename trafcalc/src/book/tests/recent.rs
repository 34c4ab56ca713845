use std::ops::ControlFlow;

use super::*;

/// The number of rows that `act` writes.
fn written(book: &mut Book, act: impl FnOnce(&mut Book)) -> u64 {
    let before = book.connection.total_changes();
    act(book);
    book.connection.total_changes() - before
}

#[test]
fn a_report_within_the_same_five_minutes_writes_one_row_an_account() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let moved: Vec<_> = (0..100).map(|uid| (user(uid, Some("ada")), bytes(1, 2))).collect();
    book.commit(&commit(1, at(BEGIN_S + 60), &moved)).unwrap();
    let rows = written(&mut book, |book| book.commit(&commit(2, at(BEGIN_S + 120), &moved)).unwrap());
    assert!(rows <= 110, "{rows} rows for 100 accounts");
    assert_all_sums(&book, bytes(200, 400));
}

/// The bytes sent, by the beginnings of a table's rows.
fn sent<Begin: rusqlite::types::FromSql>(book: &Book, table: &str, begin: &str) -> Vec<(Begin, i64)> {
    let sql = format!("SELECT {begin}, sum(sent) FROM {table} GROUP BY {begin}");
    let mut ask = book.connection.prepare(&sql).unwrap();
    ask.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn hours(book: &Book) -> Vec<(i64, i64)> {
    sent(book, "hour", "start_s")
}

fn days(book: &Book) -> Vec<(String, i64)> {
    sent(book, "day", "date")
}

/// 2026-11-26T18:24:00Z, which is 23:54 in Kolkata.
const EVENING_S: u64 = 1_795_717_440;

#[test]
fn bytes_stay_in_the_hour_and_day_of_the_zone_they_were_booked_in() {
    let (_folder, path) = folder();
    let live = |zone: &str, end: u64, sent: u64| {
        let zone = TimeZone::get(zone).unwrap();
        let (mut book, _) = Book::open(&Opening { zone, ..opening(&path) }).unwrap();
        book.commit(&commit(1, at(end), &[(user(1, None), bytes(sent, 0))])).unwrap();
        (hours(&book), days(&book))
    };
    let hour = i64::try_from(EVENING_S - 24 * 60).unwrap();
    live("Asia/Kolkata", EVENING_S, 1);
    // The same five minutes.
    let (hours, days) = live("UTC", EVENING_S + 30, 2);
    assert_eq!(hours, [(hour - 1800, 1), (hour, 2)]);
    assert_eq!(days, [("2026-11-26".to_owned(), 3)]);
    // Two days later: no report was cut at the borders in between.
    let (hours, days) = live("Asia/Kolkata", EVENING_S + 2 * 86_400 + 600, 4);
    assert_eq!(hours, [(hour - 1800, 1), (hour, 2), (hour + 2 * 86_400 + 1800, 4)]);
    assert_eq!(days, [("2026-11-26".to_owned(), 3), ("2026-11-29".to_owned(), 4)]);
}

#[test]
fn a_clock_that_goes_back_adds_to_the_former_rows_and_leaves_the_later_ones() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    for (seq, end, sent) in [(1, 60, 1), (2, 3 * 3600, 2), (3, 120, 4), (4, 3 * 3600 + 60, 8)] {
        book.commit(&commit(seq, at(BEGIN_S + end), &[(user(1, None), bytes(sent, 0))])).unwrap();
    }
    let begin = BEGIN_S.cast_signed();
    assert_eq!(hours(&book), [(begin, 5), (begin + 2 * 3600, 2), (begin + 3 * 3600, 8)]);
    assert_all_sums(&book, bytes(15, 0));
}

#[test]
fn sums_that_stop_at_the_end_of_a_column_stop_there_in_the_next_five_minutes_too() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    for seq in 1..=3 {
        book.commit(&commit(seq, at(BEGIN_S + 300 * seq), &[(user(1, None), bytes(u64::MAX / 2 - 7, 1))])).unwrap();
    }
    drop(book);
    assert_eq!(open(&path).1.totals, [(user(1, None), bytes(u64::MAX / 2, 3))]);
}

#[test]
fn five_minutes_that_are_not_what_was_written_are_damage() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let report = |seq: u64, end: u64| commit(seq, at(BEGIN_S + end), &[(user(1, None), bytes(1, 0))]);
    book.commit(&report(1, 60)).unwrap();
    book.commit(&report(2, 360)).unwrap();
    assert_eq!(Reader::open(&path).unwrap().damage().unwrap(), [""; 0]);
    book.connection.execute("UPDATE past_fine SET accounts = '[[1,2]]'", []).unwrap();
    let reader = Reader::open(&path).unwrap();
    let told = format!("the accounts of the five minutes at {BEGIN_S} are not what was written");
    assert_eq!(reader.damage().unwrap(), [told]);
    let read = reader.rows(Tier::Fine, &(0..i64::MAX), &TimeZone::UTC, |_, _, _| ());
    assert_eq!(read.unwrap_err().trouble(), Trouble::Corrupt);
    // The service gets the same error, and sets the book aside.
    book.commit(&report(3, 120)).unwrap();
    assert_eq!(book.commit(&report(4, 420)).unwrap_err().trouble(), Trouble::Corrupt);
}

#[test]
fn an_export_has_an_account_once_in_five_minutes_that_two_lives_share() {
    let (_folder, path) = folder();
    for (zone, end, sent) in [("Asia/Kolkata", EVENING_S, 1), ("UTC", EVENING_S + 30, 2)] {
        let zone = TimeZone::get(zone).unwrap();
        let (mut book, _) = Book::open(&Opening { zone, ..opening(&path) }).unwrap();
        let moved = [(user(2, None), bytes(sent, 0)), (user(1, None), bytes(10 * sent, 0))];
        book.commit(&commit(1, at(end), &moved)).unwrap();
        drop(book);
    }
    let (mut book, _) = open(&path);
    book.commit(&commit(1, at(EVENING_S + 300), &[(user(1, None), bytes(100, 0))])).unwrap();
    let slot_s = i64::try_from(EVENING_S / 300 * 300).unwrap();
    let rows = |from_s: i64| {
        let mut rows = Vec::new();
        let each = |start_s: i64, (_, key): (i64, AccountKey), bytes: Bytes| {
            rows.push((start_s - slot_s, key.uid.unwrap(), bytes.sent));
            ControlFlow::<()>::Continue(())
        };
        assert!(Reader::open(&path).unwrap().fine_rows(from_s, each).unwrap().is_continue());
        rows
    };
    assert_eq!(rows(0), [(0, 2, 3), (0, 1, 30), (300, 1, 100)]);
    assert_eq!(rows(slot_s + 300), [(300, 1, 100)]);
    let mut count = 0;
    let broken = Reader::open(&path).unwrap().fine_rows(0, |_, _, _| {
        count += 1;
        ControlFlow::Break(7)
    });
    assert_eq!((broken.unwrap(), count), (ControlFlow::Break(7), 1));
}
