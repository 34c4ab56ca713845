use std::time::Instant;

use nix::sys::time::TimeValLike as _;
use nix::time::{ClockId, clock_gettime};

use super::*;

fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    Duration::from_nanos(u64::try_from(used.num_nanoseconds()).unwrap())
}

/// Prints the cost of a report of 1,000 accounts, the size of a million rows, and the time to check them.
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
    println!("{rows} rows of five minutes take {} bytes", pages("past_fine"));
    println!("file {} bytes, log {} bytes", length(&path), length(&beside(&path, "-wal")));
    drop(book);
    let begin = Instant::now();
    drop(open(&path));
    println!("opening it takes {:?}", begin.elapsed());
}

/// Prints what three quotas add to a report of 10,000 accounts on the last of 30 days, and the time to close that
/// month.
#[test]
#[ignore = "measures; run it optimised, with --nocapture"]
fn figures_of_quotas() {
    const ACCOUNTS: u32 = 10_000;
    const REPORTS: u32 = 20;
    struct Nobody;
    impl GroupMembers for Nobody {
        fn is_member(&self, _: &str, _: &str) -> bool {
            false
        }

        fn version(&self) -> u64 {
            0
        }
    }
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let moved: Vec<_> =
        (0..ACCOUNTS).map(|uid| (user(uid, Some(&format!("user{uid}"))), bytes(1_234, 5_678))).collect();
    // The first of the month is 25 days earlier.
    let first = BEGIN_S - 25 * 86_400;
    for day in 0..30 {
        book.commit(&commit(day + 1, at(first + day * 86_400 + 60), &moved)).unwrap();
    }
    let quota = |users: &[&str], groups: &[&str]| Quota {
        name: format!("{users:?}"),
        users: users.iter().map(|&user| user.to_owned()).collect(),
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        units: Vec::new(),
        classes: Vec::new(),
        period: QuotaPeriod::Month,
        direction: Direction::Both,
        limit: 1 << 50,
        warn: vec![80, 100],
    };
    let list = vec![quota(&[], &[]), quota(&["user7", "8"], &[]), quota(&["user9"], &["students"])];
    let mut quotas = Quotas::new(list, std::sync::Arc::new(Nobody));
    let mut seq = 100;
    for with in [false, true] {
        let mut took = Vec::new();
        for _ in 0..REPORTS {
            seq += 1;
            let report = commit(seq, at(first + 29 * 86_400 + 60 + seq), &moved);
            let begin = processor_time();
            let quotas = with.then_some(&mut quotas);
            book.commit_watching(&report, &Telling::default(), quotas, |_| None).unwrap();
            took.push(processor_time().saturating_sub(begin));
        }
        println!(
            "quotas: {with}: the first {:?}, later ones {:?}",
            took[0],
            took[1..].iter().sum::<Duration>() / (REPORTS - 1)
        );
    }
    let mut editor = Editor::open(&path).unwrap();
    let begin = Instant::now();
    let dates = billing_month("2026-11-01".parse().unwrap(), 1);
    let closed = editor.close("2026-11", &dates, &TimeZone::UTC, 0, at(BEGIN_S + 40 * 86_400)).unwrap().unwrap();
    println!("closing {} rows took {:?} ({})", 30 * ACCOUNTS, begin.elapsed(), closed.sha256);
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}
