use std::path::Path;

use jiff::tz::TimeZone;
use nix::sys::time::TimeValLike as _;

use super::*;
use crate::book::{Book, Opening};
use crate::daemon::writing::Keeping;
use crate::sinks::{LOG, LogFile, Logfmt};

const ACCOUNTS: u32 = 1_000;
/// Before what is measured, so that names are known and statements prepared.
const FIRST: u32 = 20;
const REPORTS: u32 = 400;

fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap();
    Duration::from_nanos(u64::try_from(used.num_nanoseconds()).unwrap())
}

/// A service with a book and a log, whose backend has something of each account in each batch.
fn service(folder: &Path, now: Now) -> Daemon {
    let path = folder.join("book.db");
    let open = move || {
        Book::open(&Opening {
            path: &path,
            zone: TimeZone::UTC,
            boot_id: "boot",
            version: "0",
            settings: "{}",
            sinks: &[LOG],
            now: now.wall,
        })
    };
    let (book, opened) = open().unwrap();
    let credits: Vec<_> = (0..ACCOUNTS).map(|uid| (uid, 1_234_567, 7_654_321)).collect();
    let script = Script((0..FIRST + REPORTS).map(|_| batch(&credits)).collect());
    let log = Log::new(Logfmt, Box::new(LogFile::open(&folder.join("log")).unwrap()));
    let keeping = Keeping { book: Some(book), open: Box::new(open) };
    let writing = Writing::start(log, Some(keeping), counting(&script), || ());
    let writing = writing.unwrap_or_else(|error| panic!("{error}"));
    let started = Started { backend: Box::new(script), declined: Vec::new() };
    Daemon::new(started, writing, Some(opened), 0, now, By::User, None)
}

/// Prints what a report of 1,000 accounts costs, with book and log, and how long the loop keeps the next event waiting.
#[test]
#[ignore = "measures; run it optimised, with --nocapture"]
fn figures() {
    let folder = tempfile::tempdir().unwrap();
    let mut now = Now { wall: SystemTime::now(), monotonic: Instant::now(), since_boot: Duration::ZERO };
    let mut daemon = service(folder.path(), now);
    let (mut used, mut longest) = (Duration::ZERO, Duration::ZERO);
    for number in 0..FIRST + REPORTS {
        now.wall += Duration::from_secs(10);
        now.monotonic += Duration::from_secs(10);
        now.since_boot += Duration::from_secs(10);
        let (begin, before) = (Instant::now(), processor_time());
        assert!(daemon.handle(Event::Tick, now).is_continue());
        let turn = begin.elapsed();
        daemon.writing.settle();
        if number >= FIRST {
            longest = longest.max(turn);
            used += processor_time().saturating_sub(before);
        }
    }
    println!(
        "a report of {ACCOUNTS} accounts, book and log: {:?} of processor time; the loop waits at most {longest:?}",
        used / REPORTS
    );
}
