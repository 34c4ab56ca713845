use std::os::unix::fs::FileExt as _;
use std::path::Path;

use jiff::tz::TimeZone;
use rusqlite::Connection;

use super::*;
use crate::book::Opening;
use crate::report::samples;
use crate::sinks::{Destination, Log};

/// A log that accepts everything.
struct Nowhere;

impl Destination for Nowhere {
    fn append(&mut self, _: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }
}

fn open(path: &Path, first: SystemTime) -> Result<(Book, Opened), BookError> {
    let (zone, now) = (TimeZone::UTC, samples::start());
    let opening =
        Opening { path, zone, billing_day: 1, boot_id: "boot", version: "0", settings: "{}", sinks: &[LOG], now };
    Book::open_later(&opening, first)
}

fn sink(path: &Path) -> BookSink {
    let (tell, told) = mpsc::channel();
    let log = Outlet::start(Log::new(Json, Box::new(Nowhere)).telling(tell), || ()).unwrap();
    let counting = Counting { backend: "packet", attach: None, method: None, goes_on: false };
    let again = path.to_owned();
    let (book, _) = open(path, samples::start()).unwrap();
    BookSink::new(Some(book), Box::new(move |first| open(&again, first)), counting, None, Arc::new(log), told)
}

/// A report that takes this many bytes in the book.
fn booking(seq: u64, bytes: usize) -> Booking {
    let end = samples::start() + Duration::from_secs(seq);
    let commit = Commit {
        seq,
        start: end - Duration::from_secs(1),
        end,
        monotonic: Duration::from_secs(1),
        moved: Vec::new(),
        baseline: None,
        health: "x".repeat(bytes),
        records: None,
        gaps: Vec::new(),
        open: crate::capture::OpenNotes::default(),
        ended: false,
    };
    Booking { commit, stamp: Stamp { seq, ..samples::report().summary.stamp }, report: None }
}

fn program(number: u64) -> Moved {
    Moved {
        account: AccountKey {
            kind: crate::book::AccountKind::User,
            uid: Some(7),
            user: None,
            program: Some(format!("program {number}").into()),
            unit: None,
            class: None,
        },
        bytes: crate::capture::Bytes { sent: 10, received: 1 },
    }
}

#[test]
fn a_booking_that_takes_in_many_programs_gives_the_oldest_to_their_users() {
    let (mut all, mut coarse_bytes) = (Vec::new(), 0);
    for number in 0..100 {
        coarse_bytes += add(&mut all, vec![program(number)], 10);
        assert!(all.len() <= 10);
    }
    let sum = |moved: &[Moved]| moved.iter().map(|moved| moved.bytes.sent + moved.bytes.received).sum::<u64>();
    assert_eq!(sum(&all), 1_100, "no byte is lost");
    assert_eq!(all.last(), Some(&program(99)));
    let (user, programs) = all.split_first().unwrap();
    assert_eq!((user.account.kind, user.account.program.as_deref()), (crate::book::AccountKind::User, None));
    assert_eq!(coarse_bytes, 1_100 - sum(programs));
}

#[test]
fn who_keeps_the_wal_from_shrinking_is_told_of_until_he_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.db");
    let mut sink = sink(&path);
    sink.take(&booking(1, 1)).unwrap();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM report").unwrap();
    for seq in 2..70 {
        sink.take(&booking(seq, 1 << 20)).unwrap();
    }
    let note = sink.note().unwrap();
    assert!(note.contains("-wal file has") && note.contains("keeps it from shrinking"), "{note}");
    reader.execute_batch("ROLLBACK").unwrap();
    for seq in 70..73 {
        sink.take(&booking(seq, 1)).unwrap();
    }
    assert_eq!(sink.note(), None);
    let length = sink.book.as_ref().map(Book::wal_bytes).unwrap();
    assert!(length <= 17 << 20, "{length}");
}

/// So large a book is not checked before it is used.
#[test]
fn a_large_book_that_a_report_finds_damaged_is_set_aside_with_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.db");
    let mut first = sink(&path);
    (1..=20).for_each(|seq| first.take(&booking(seq, 1 << 20)).unwrap());
    drop(first);
    break_table(&path, "recent");
    let mut sink = sink(&path);
    let mut damaged = booking(21, 1);
    damaged.commit.moved = vec![program(1)];
    // The checking thread may have been faster.
    if sink.take(&damaged).is_err() {
        sink.take(&damaged).unwrap();
    }
    assert!(sink.set_aside.is_some());
    let books = std::fs::read_dir(folder.path()).unwrap().filter(|file| {
        let name = file.as_ref().unwrap().file_name().into_string().unwrap();
        !["-wal", "-shm", "-lock"].iter().any(|beside| name.ends_with(beside))
    });
    assert_eq!(books.count(), 2, "the damaged one and the next");
}

#[test]
fn a_book_in_the_place_of_one_that_was_set_aside_begins_with_its_first_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.db");
    let mut sink = sink(&path);
    sink.take(&booking(1, 1)).unwrap();
    sink.put_aside(samples::start(), "damaged".to_owned()).unwrap();
    sink.take(&booking(21, 1)).unwrap();
    let ask = "SELECT value FROM meta WHERE key = 'begun_us'";
    let begun_us: i64 = Connection::open(&path).unwrap().query_row(ask, [], |row| row.get(0)).unwrap();
    let first = samples::start() + Duration::from_secs(20);
    let first_us = first.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
    assert_eq!(u128::try_from(begun_us).unwrap(), first_us, "what was before can be imported from a log");
}

/// Overwrites the first page of a table.
fn break_table(path: &Path, table: &str) {
    let book = Connection::open(path).unwrap();
    book.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let ask = "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = ?1";
    let (page, bytes): (u64, u64) = book.query_row(ask, [table], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    drop(book);
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[0xff; 512], (page - 1) * bytes).unwrap();
}
