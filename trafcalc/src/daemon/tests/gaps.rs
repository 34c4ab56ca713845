use std::path::Path;

use jiff::tz::TimeZone;

use super::*;
use crate::book::{Book, BookError, Opened, Opening, Reader};
use crate::daemon::writing::Keeping;
use crate::report::samples;
use crate::sinks::{LOG, LogFile};

fn open(folder: &Path, now: Now) -> Result<(Book, Opened), BookError> {
    let (zone, path) = (TimeZone::UTC, folder.join("book.db"));
    let (boot_id, version, settings) = ("boot", "0", "{}");
    Book::open(&Opening { path: &path, zone, billing_day: 1, boot_id, version, settings, sinks: &[LOG], now: now.wall })
}

/// A service that continues, a minute later, from one that had stopped with its first report.
fn successor(folder: &Path, now: Now, script: Vec<Result<Batch, CaptureError>>) -> Daemon {
    let period =
        Period { seq: 1, end: now.wall - Duration::from_mins(1), length: Duration::from_secs(1), step_s: None };
    let former = booking::commit(
        &[],
        &capture::Health::default(),
        &period,
        Vec::new(),
        true,
        (&mut samples::Told, &mut booking::Unnamed::default()),
    );
    open(folder, now).unwrap().0.commit(&former).unwrap();
    let (book, opened) = open(folder, now).unwrap();
    let again = folder.to_owned();
    let log = Log::new(Json, Box::new(LogFile::open(&folder.join("log")).unwrap()));
    let script = Script(script.into());
    let keeping = Keeping { book: Some(book), open: Box::new(move |_| open(&again, now)), quotas: None };
    let writing = Writing::start(log, Some(keeping), counting(&script), || (), None);
    let writing = writing.unwrap_or_else(|error| panic!("{error}"));
    let started = Started { backend: Box::new(script), declined: Vec::new() };
    Daemon::new(started, writing, Some(opened), 0, now, By::USER, None)
}

/// The next event may never come: the gap is in the book and in the log with the first report, and with no other.
#[test]
fn a_gap_is_told_with_the_first_that_is_booked_also_where_the_book_alone_is_cut() {
    for first in [Event::Border, Event::Tick] {
        let folder = tempfile::tempdir().unwrap();
        let mut now = Now { wall: SystemTime::now(), monotonic: Instant::now(), since_boot: Duration::ZERO };
        let mut daemon = successor(folder.path(), now, Vec::new());
        let told = |daemon: &Daemon| {
            daemon.writing.settle();
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
            let reader = Reader::open(&folder.path().join("book.db")).unwrap();
            (reader.gaps(&(0..i64::MAX / 2_000_000)).unwrap().len(), log.matches(r#""type":"gap""#).count())
        };
        for event in [first, Event::Tick] {
            now.wall += Duration::from_secs(10);
            now.monotonic += Duration::from_secs(10);
            assert!(daemon.handle(event, now).is_continue());
            assert_eq!(told(&daemon), (1, 1));
        }
    }
}

/// A service whose backend fails after its first batch. Returns the counters that the book names, and the causes of gaps.
fn failed(first: Batch) -> (Baseline, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let mut now = Now { wall: SystemTime::now(), monotonic: Instant::now(), since_boot: Duration::ZERO };
    let fails = || Err(CaptureError::ThreadEnded("reader"));
    let mut daemon = successor(folder.path(), now, vec![Ok(first), fails(), fails()]);
    for is_last in [false, true] {
        now.wall += Duration::from_secs(10);
        now.monotonic += Duration::from_secs(10);
        assert_eq!(daemon.handle(Event::Tick, now).is_break(), is_last);
    }
    drop(daemon);
    // The thread that writes the book closes it a moment later.
    let opened = std::iter::repeat_with(|| open(folder.path(), now))
        .take(1_000)
        .find_map(|opened| opened.inspect_err(|_| std::thread::sleep(Duration::from_millis(10))).ok());
    let baseline = opened.unwrap().1.baseline.unwrap();
    let reader = Reader::open(&folder.path().join("book.db")).unwrap();
    let gaps = reader.gaps(&(0..i64::MAX / 2_000_000)).unwrap();
    let seconds = |gap: &crate::book::Gap| gap.to.duration_since(gap.from).unwrap().as_secs_f64().round();
    (baseline, gaps.iter().map(|gap| format!("{}: {} s", gap.cause, seconds(gap))).collect())
}

#[test]
fn what_a_failed_backend_had_not_told_is_a_gap() {
    let (_, gaps) = failed(Batch::default());
    assert_eq!(gaps, ["the service was stopped: 60 s", "the backend failed: 10 s"]);
}

#[test]
fn counters_that_outlive_a_failed_backend_are_left_to_the_next_process() {
    let kept = Baseline { map: "kept".into(), rows: vec![(1, Bytes { sent: 7, received: 8 })] };
    let (baseline, gaps) = failed(Batch { baseline: Some(kept.clone()), ..Batch::default() });
    assert_eq!((baseline, gaps), (kept, vec!["the service was stopped: 60 s".to_owned()]));
}
