use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::*;

const BOOK: &str = "TRAFCALC_TEST_WRITE_BOOK";
const KILLS: u64 = 20;

/// Report `n`; the counter in the kernel is the sum of all.
fn moved(n: u64) -> [(AccountKey, Bytes); 3] {
    let uid = u32::try_from(n % 50).unwrap();
    [
        (user(uid, Some("ada")), bytes(n, 1)),
        (user(100, None), bytes(n * 3, 2)),
        (user(u32::try_from(n % 7).unwrap() + 200, n.is_multiple_of(3).then_some("bob")), bytes(1, n)),
    ]
}

fn sum(n: u64) -> Bytes {
    bytes(2 * n * (n + 1) + n, n * (n + 1) / 2 + 3 * n)
}

fn reports(opened: &Opened) -> u64 {
    opened.baseline.as_ref().map_or(0, |read| read.rows[0].1.sent)
}

#[test]
fn a_kill_loses_nothing_that_was_booked_and_doubles_nothing() {
    let (_folder, path) = folder();
    let mut random = 88_172_645_463_325_252_u64;
    for kill in 0..KILLS {
        let mut writer = Command::new("/proc/self/exe")
            .args(["--exact", "book::tests::killed::writer", "--ignored", "--nocapture"])
            .env(BOOK, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (told, hear) = std::sync::mpsc::channel();
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            for number in
                lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("booked ")?.parse::<u64>().ok())
            {
                let _ = told.send(number);
            }
        });
        // At a random moment, possibly while it opens the book.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if !kill.is_multiple_of(4) {
            hear.recv().unwrap();
        }
        std::thread::sleep(Duration::from_micros(random % 60_000));
        writer.kill().unwrap();
        writer.wait().unwrap();
        reader.join().unwrap();
        let acknowledged = hear.try_iter().last().unwrap_or(0);
        let (book, opened) = open(&path);
        let booked = reports(&opened);
        assert!(booked >= acknowledged, "{acknowledged} were acknowledged, {booked} are in the book");
        assert_eq!(opened.set_aside, None);
        assert_all_sums(&book, sum(booked));
        assert_eq!(number(&book, "SELECT count(*) FROM report"), i64::try_from(booked).unwrap());
        let told: Vec<_> = book.outbox("log", usize::MAX).unwrap().into_iter().map(|one| one.records).collect();
        let expected: Vec<_> = (1..=booked).map(|n| n.to_string()).collect();
        assert_eq!(told, expected);
        assert!(kill < KILLS - 1 || booked > KILLS, "nothing was booked between the kills");
    }
}

#[test]
#[ignore = "run by the test above, which kills it"]
fn writer() {
    let Some(path) = std::env::var_os(BOOK) else { return };
    let (mut book, opened) = open(Path::new(&path));
    for n in reports(&opened) + 1.. {
        let baseline = Baseline { map: "map".into(), rows: vec![(0, bytes(n, 0))] };
        let report = commit(n, at(BEGIN_S + n * 20), &moved(n));
        book.commit(&Commit { baseline: Some(baseline), records: Some(n.to_string()), ..report }).unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "booked {n}").and_then(|()| out.flush()).unwrap();
    }
}
