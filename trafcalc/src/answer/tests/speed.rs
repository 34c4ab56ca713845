use std::time::Instant;

use nix::time::{ClockId, clock_gettime};

use super::*;

fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap();
    Duration::new(used.tv_sec().unsigned_abs(), u32::try_from(used.tv_nsec()).unwrap())
}

/// Prints how long an answer about a month takes in a book with ten million rows of five minutes.
#[test]
#[ignore = "measures; run it optimised, with --nocapture"]
fn figures() {
    const ACCOUNTS: u32 = 1000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.db");
    let begin = time("2026-10-22T00:00:00Z");
    let (mut book, _) = Book::open(&opening(&path, zone(BERLIN), begin)).unwrap();
    let slot = Duration::from_mins(5);
    for seq in 1..=10_000_u32 {
        let moved = (0..ACCOUNTS).map(|uid| Moved {
            account: account(uid, Some("somebody"), None, None),
            bytes: Bytes { sent: u64::from(seq * uid), received: 1 },
        });
        book.commit(&commit(u64::from(seq), begin + slot * seq, moved.collect())).unwrap();
    }
    let now = begin + slot * 10_000;
    println!("file {} MB", std::fs::metadata(&path).unwrap().len() >> 20);
    let asked = || Asked::Month("2026-11".parse().unwrap());
    for (name, question) in [
        ("this month", question()),
        ("this month by hour", Question { each: Some(Each::Hour), ..question() }),
        ("this month's percentile", Question { percentile: Some(95), ..question() }),
        ("this month in another zone", Question { zone: Some(zone("Asia/Kolkata")), ..question() }),
    ] {
        let (start, used) = (Instant::now(), processor_time());
        let question = Question { asked: asked(), ..question };
        let answer = ask(&Reader::open(&path).unwrap(), &question, now).unwrap();
        println!(
            "{name}: {} rows in {:?}, of processor time {:?}",
            answer.rows.len(),
            start.elapsed(),
            processor_time().saturating_sub(used)
        );
    }
}
