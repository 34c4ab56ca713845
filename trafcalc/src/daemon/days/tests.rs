use std::time::Instant;

use super::*;
use crate::book::{AccountKey, Book, Commit, Moved, Opened, Opening};
use crate::report::samples::Told;

/// 2026-11-30T23:30:00Z.
const BEGIN_S: u64 = 1_796_081_400;

fn at(second: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN_S.saturating_add_signed(second))
}

fn bytes(sent: u64) -> Bytes {
    Bytes { sent, received: 2 * sent }
}

/// A book and its reader, at a time of the test's choice.
struct Bench {
    folder: tempfile::TempDir,
    book: Book,
    epoch: u64,
    days: Days,
    begin: Instant,
    seq: u64,
}

impl Bench {
    fn new() -> Self {
        Self::with_billing_day(1)
    }

    fn with_billing_day(billing_day: i8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book.db");
        let (book, opened) = open(&path);
        let days = Days::new(&crate::config::Book { path, zone: TimeZone::UTC, billing_day });
        Self { folder, book, epoch: opened.epoch.unsigned_abs(), days, begin: Instant::now(), seq: 0 }
    }

    /// A report of the minute before `second`, which is booked at once if `is_booked`.
    fn cut(&mut self, second: i64, moved: &[(u32, u64)], is_booked: bool) -> Commit {
        self.seq += 1;
        let (start, end) = (at(second - 60), at(second));
        let owners: Vec<_> = moved.iter().map(|&(uid, sent)| (Owner::user(uid), bytes(sent))).collect();
        self.days.cut(self.seq, (start, end), &owners);
        let user = |uid: u32| AccountKey {
            kind: AccountKind::User,
            uid: Some(uid),
            user: Some("alice".to_owned()),
            program: None,
            unit: None,
            class: None,
        };
        let moved = moved.iter().map(|&(uid, sent)| Moved { account: user(uid), bytes: bytes(sent) });
        let commit = Commit {
            seq: self.seq,
            start,
            end,
            monotonic: Duration::from_mins(1),
            moved: moved.collect(),
            baseline: None,
            health: "{}".to_owned(),
            records: None,
            gaps: Vec::new(),
            open: crate::capture::OpenNotes::default(),
            ended: false,
        };
        if is_booked {
            self.book.commit(&commit).unwrap();
        }
        commit
    }

    fn look_once(&mut self, second: i64, uncut: &[(u32, u64)]) -> Option<(String, Vec<Booked>)> {
        let now = Now { wall: at(second), monotonic: self.begin, since_boot: Duration::ZERO };
        let uncut: Vec<_> = uncut.iter().map(|&(uid, sent)| (Owner::user(uid), bytes(sent))).collect();
        let uncut = uncut.iter().map(|(owner, bytes)| (owner, *bytes));
        self.days.look(self.epoch, now, true, uncut, &mut Told)
    }

    /// User, and what that user sent today and this month.
    fn look(&mut self, second: i64, uncut: &[(u32, u64)]) -> (String, Vec<(u32, u64, u64)>) {
        loop {
            if let Some((date, booked)) = self.look_once(second, uncut) {
                assert!(booked.iter().all(|row| row.received_bytes_today == 2 * row.sent_bytes_today));
                let row = |row: Booked| (row.uid.unwrap(), row.sent_bytes_today, row.sent_bytes_month);
                let mut rows: Vec<_> = booked.into_iter().map(row).collect();
                rows.sort_unstable();
                return (date, rows);
            }
            thread::yield_now();
        }
    }
}

fn open(path: &std::path::Path) -> (Book, Opened) {
    let opening = Opening {
        path,
        zone: TimeZone::UTC,
        billing_day: 1,
        boot_id: "boot",
        version: "0.1.0",
        settings: "{}",
        sinks: &[],
        now: at(0),
    };
    Book::open(&opening).unwrap()
}

#[test]
fn today_and_this_month_are_what_the_book_has_and_what_moved_since() {
    let mut bench = Bench::new();
    bench.cut(60 - 24 * 3_600, &[(1, 1_000)], true);
    bench.cut(60, &[(1, 10), (2, 20)], true);
    assert_eq!(
        bench.look(90, &[(2, 3), (3, 4)]),
        ("2026-11-30".to_owned(), vec![(1, 10, 1_010), (2, 23, 23), (3, 4, 4)])
    );
    bench.cut(120, &[(1, 5)], true);
    assert_eq!(bench.look(130, &[]).1, [(1, 15, 1_015), (2, 20, 20)]);
}

#[test]
fn what_is_cut_while_the_book_is_read_is_counted_once() {
    for is_in_the_book in [true, false] {
        let mut bench = Bench::new();
        bench.cut(60, &[(1, 10)], true);
        let late = bench.cut(120, &[(1, 5)], false);
        let (tell, book) = mpsc::channel();
        bench.days.state = State::Reading { date: date(at(60), &TimeZone::UTC), book, cuts: Vec::new() };
        bench.days.cut(2, (late.start, late.end), &[(Owner::user(1), bytes(5))]);
        if is_in_the_book {
            bench.book.commit(&late).unwrap();
        }
        let reader = Reader::open(&bench.folder.path().join("book.db")).unwrap();
        let today = date(at(60), &TimeZone::UTC);
        tell.send(reader.days(today.first_of_month(), today)).unwrap();
        assert_eq!(bench.look(130, &[]).1, [(1, 15, 15)], "in the book: {is_in_the_book}");
    }
}

#[test]
fn a_day_and_a_month_begin_anew() {
    let mut bench = Bench::new();
    bench.cut(60, &[(1, 10)], true);
    bench.look(90, &[]);
    // The last minute of November, whose report comes in December.
    bench.cut(1_800, &[(1, 7)], true);
    assert_eq!(bench.look(1_799, &[]).1, [(1, 17, 17)]);
    assert_eq!(bench.look(1_801, &[(1, 1)]), ("2026-12-01".to_owned(), vec![(1, 1, 1)]));
    bench.cut(1_860, &[(2, 2)], true);
    assert_eq!(bench.look(1_870, &[]).1, [(2, 2, 2)]);
    let day = 24 * 3_600;
    assert_eq!(bench.look(1_870 + day, &[]).1, [(2, 0, 2)]);
}

#[test]
fn a_month_begins_anew_on_its_billing_day() {
    let mut bench = Bench::with_billing_day(2);
    let day = 24 * 3_600;
    // On the first day of November, and on the second.
    bench.cut(60 - 29 * day, &[(1, 1_000)], true);
    bench.cut(60 - 28 * day, &[(1, 200)], true);
    bench.cut(60, &[(1, 10)], true);
    assert_eq!(bench.look(90, &[]).1, [(1, 10, 210)]);
    assert_eq!(bench.look(1_801, &[(1, 1)]), ("2026-12-01".to_owned(), vec![(1, 1, 211)]));
    bench.cut(1_860, &[(1, 2)], true);
    assert_eq!(bench.look(1_870, &[]).1, [(1, 2, 212)]);
    assert_eq!(bench.look(1_801 + day, &[(1, 1)]), ("2026-12-02".to_owned(), vec![(1, 1, 1)]));
}

#[test]
fn a_book_that_cannot_be_read_is_tried_again_later() {
    let mut bench = Bench::new();
    bench.days.path = bench.folder.path().join("missing");
    while !matches!(bench.days.state, State::Unread(Some(_))) {
        assert_eq!(bench.look_once(0, &[]), None);
        thread::yield_now();
    }
    bench.days.path = bench.folder.path().join("book.db");
    assert_eq!(bench.look_once(0, &[]), None, "not at once");
    assert!(matches!(bench.days.state, State::Unread(Some(_))));
    bench.begin += READ_AGAIN;
    assert_eq!(bench.look(0, &[]).1, []);
}

#[test]
fn bytes_of_two_classes_are_rows_of_their_own() {
    let mut bench = Bench::new();
    let owner = |class: &str| Owner::user(1).in_class(Some(class.into()));
    bench.cut(60, &[], true);
    bench.look(61, &[]);
    bench.days.cut(2, (at(60), at(120)), &[(owner("lan"), bytes(5)), (owner("internet"), bytes(6))]);
    let mut rows: Vec<_> = bench.look_once(130, &[]).unwrap().1;
    rows.sort_by_key(|row| row.sent_bytes_today);
    let rows: Vec<_> = rows.iter().map(|row| (row.class.as_deref().unwrap(), row.sent_bytes_today)).collect();
    assert_eq!(rows, [("lan", 5), ("internet", 6)]);
    let former = Commit { moved: vec![], ..bench.cut(180, &[(1, 100)], false) };
    let booked = |class: Option<&str>, sent| Moved {
        account: AccountKey {
            kind: AccountKind::User,
            uid: Some(1),
            user: Some("alice".to_owned()),
            program: None,
            unit: None,
            class: class.map(Into::into),
        },
        bytes: bytes(sent),
    };
    let moved = vec![booked(Some("lan"), 7), booked(Some("internet"), 8), booked(None, 9)];
    bench.book.commit(&Commit { moved, ..former }).unwrap();
    bench.days.state = State::Unread(None);
    while bench.look_once(190, &[]).is_none() {
        thread::yield_now();
    }
    let mut rows: Vec<_> = bench.look_once(190, &[]).unwrap().1;
    rows.sort_by_key(|row| row.sent_bytes_today);
    let rows: Vec<_> = rows.iter().map(|row| (row.class.as_deref(), row.sent_bytes_today)).collect();
    assert_eq!(rows, [(Some("lan"), 7), (Some("internet"), 8), (None, 9)], "from the book");
}
