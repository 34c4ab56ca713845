use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::TimeZone;

use super::*;
use crate::book::{Book, Opening};
use crate::daemon::writing::Keeping;
use crate::sinks::{LOG, LogFile, Logfmt};

const ACCOUNTS: u32 = 1_000;
/// Warms up before the measurement, so that names are known and statements prepared.
const FIRST: u32 = 20;
const REPORTS: u32 = 400;
const SAMPLES: u32 = 400;

/// Processor time of each thread of this process, by name.
fn threads() -> BTreeMap<String, Duration> {
    let mut times = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        let read = |file: &str| std::fs::read_to_string(path.join(file)).unwrap_or_default();
        let nanoseconds = read("schedstat").split(' ').next().and_then(|number| number.parse().ok());
        *times.entry(read("comm").trim().to_owned()).or_default() += Duration::from_nanos(nanoseconds.unwrap_or(0));
    }
    times
}

/// How long this thread has waited for a processor.
fn run_delay() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = schedstat.split(' ').nth(1).and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Each account moves something, and its kernel counter changes.
fn moving(number: u64) -> Batch {
    let bytes = |times| Bytes { sent: 1_234_567 * times, received: 7_654_321 * times };
    let rows = (0..ACCOUNTS).map(|row| (row, bytes(number))).collect();
    let credits = (0..ACCOUNTS).map(|uid| (Owner::user(uid), bytes(1))).collect();
    Batch { credits, baseline: Some(Baseline { map: "map".into(), rows }), ..Batch::default() }
}

/// A service with a book and a log, whose backend reports each account in each batch.
fn service(folder: &Path, now: Now) -> Daemon {
    let path = folder.join("book.db");
    let open = move || {
        Book::open(&Opening {
            path: &path,
            zone: TimeZone::UTC,
            billing_day: 1,
            boot_id: "boot",
            version: "0",
            settings: "{}",
            sinks: &[LOG],
            now: now.wall,
        })
    };
    let (book, opened) = open().unwrap();
    let script = Script((1..=2 * FIRST + REPORTS + SAMPLES).map(|number| Ok(moving(u64::from(number)))).collect());
    let log = Log::new(Logfmt, Box::new(LogFile::open(&folder.join("log")).unwrap()));
    let keeping = Keeping { book: Some(book), open: Box::new(move |_| open()), quotas: None };
    let writing = Writing::start(log, Some(keeping), counting(&script), || (), None);
    let writing = writing.unwrap_or_else(|error| panic!("{error}"));
    let started = Started { backend: Box::new(script), declined: Vec::new() };
    Daemon::new(started, writing, Some(opened), 0, now, By::USER, None)
}

/// Prints what a report of 1,000 accounts costs, with book and log, and how long the loop keeps the next event waiting.
#[test]
#[ignore = "measures; run it optimised, with --nocapture"]
fn figures() {
    let folder = tempfile::tempdir().unwrap();
    let mut now = Now { wall: SystemTime::now(), monotonic: Instant::now(), since_boot: Duration::ZERO };
    let mut daemon = service(folder.path(), now);
    let mut turns = Vec::new();
    let mut first = BTreeMap::new();
    for number in 0..FIRST + REPORTS {
        now.wall += Duration::from_secs(10);
        now.monotonic += Duration::from_secs(10);
        now.since_boot += Duration::from_secs(10);
        if number == FIRST {
            first = threads();
        }
        let (begin, delayed) = (Instant::now(), run_delay());
        assert!(daemon.handle(Event::Tick, now).is_continue());
        let turn = (begin.elapsed(), run_delay().saturating_sub(delayed));
        daemon.writing.settle();
        if number >= FIRST {
            turns.push(turn);
        }
    }
    let used = |(name, time): (String, Duration)| {
        let before = first.get(&name).copied().unwrap_or_default();
        (name, time.saturating_sub(before) / REPORTS)
    };
    // These users have no names, so they are looked up five times as often as others.
    let used: BTreeMap<_, _> = threads().into_iter().map(used).filter(|(name, _)| name != "names").collect();
    let sum: Duration = used.values().sum();
    println!("a report of {ACCOUNTS} accounts, book and log: {sum:?} of processor time, by threads {used:?}");
    turns.sort_unstable();
    let (median, longest) = (turns[turns.len() / 2], turns[turns.len() - 1]);
    println!(
        "the loop keeps an event waiting for {longest:?} at most, {median:?} mostly (and of that, for a processor)"
    );
}

/// Prints how long a sample of 1,000 accounts that all moved keeps the loop busy, with today and this month.
#[test]
#[ignore = "measures; run it optimised, with --nocapture"]
fn figures_of_samples() {
    let folder = tempfile::tempdir().unwrap();
    let mut now = Now { wall: SystemTime::now(), monotonic: Instant::now(), since_boot: Duration::ZERO };
    let mut daemon = service(folder.path(), now);
    let book = crate::config::Book { path: folder.path().join("book.db"), zone: TimeZone::UTC, billing_day: 1 };
    (daemon.days, daemon.audience) = (Some(Days::new(&book)), Some(Audience::new().unwrap()));
    assert!(daemon.handle(Event::Tick, now).is_continue());
    daemon.writing.settle();
    let mut turns = Vec::new();
    for _ in 0..FIRST + SAMPLES {
        now.wall += Duration::from_secs(1);
        now.monotonic += Duration::from_secs(1);
        now.since_boot += Duration::from_secs(1);
        let begin = Instant::now();
        assert!(daemon.handle(Event::Sample, now).is_continue());
        turns.push(begin.elapsed());
    }
    turns.sort_unstable();
    println!("a sample of {ACCOUNTS} accounts keeps the loop for {:?} mostly", turns[turns.len() / 2]);
}
