use std::time::Instant;

use nix::sys::time::TimeValLike as _;
use nix::time::{ClockId, clock_gettime};

use super::*;

fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    Duration::from_nanos(u64::try_from(used.num_nanoseconds()).unwrap())
}

/// Prints what a report of 1,000 accounts costs, what a million rows take, and how long it takes to check them.
#[test]
#[ignore = "measures; run it optimised, with --nocapture"]
fn figures() {
    const ACCOUNTS: u32 = 1000;
    const REPORTS: u64 = 1000;
    let (_folder, path) = folder();
    let (mut book, Opened { epoch, .. }) = open(&path);
    let mut longest = Duration::ZERO;
    let (used, begin) = (processor_time(), Instant::now());
    for seq in 1..=REPORTS {
        let moved: Vec<_> =
            (0..ACCOUNTS).map(|uid| (user(uid + 1000, Some("somebody")), bytes(seq * 1_234_567, 7_654_321))).collect();
        let rows = (0..ACCOUNTS).map(|row| (row, bytes(seq * 1_234_567_890, seq * 7_654_321))).collect();
        let baseline = Some(Baseline { map: "map".into(), rows });
        let report = commit(seq, at(BEGIN_S + 300 * seq), &moved);
        let report = Commit { baseline, records: Some("x".repeat(150_000)), ..report };
        let before = Instant::now();
        book.commit(&report).unwrap();
        longest = longest.max(before.elapsed());
        book.told("log", &Mark { epoch, seq, note: "1234 5678".to_owned() }).unwrap();
    }
    let reports = u32::try_from(REPORTS).unwrap();
    let (used, took) = (processor_time().saturating_sub(used) / reports, begin.elapsed() / reports);
    println!(
        "a report of {ACCOUNTS} accounts and telling it: {used:?} of processor time, {took:?}, at most {longest:?}"
    );
    for seq in REPORTS + 1..=REPORTS + 200 {
        let moved: Vec<_> = (0..ACCOUNTS).map(|uid| (user(uid + 1000, Some("somebody")), bytes(seq, 1))).collect();
        book.commit(&commit(seq, at(BEGIN_S + 300 * REPORTS + 1), &moved)).unwrap();
    }
    let pages = |table: &str| number(&book, &format!("SELECT sum(pgsize) FROM dbstat WHERE name = '{table}'"));
    let rows = number(&book, "SELECT count(*) FROM fine");
    println!("{rows} rows of five minutes take {} bytes", pages("fine"));
    println!("file {} bytes, log {} bytes", length(&path), length(&beside(&path, "-wal")));
    drop(book);
    let begin = Instant::now();
    drop(open(&path));
    println!("opening it takes {:?}", begin.elapsed());
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}
