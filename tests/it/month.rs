//! Two months of synthetic history whose every byte is known: all that `trafcalc report` says of them, in all formats, is what sums
//! over the list say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use trafcalc::book::{AccountKey, AccountKind, Book, Commit, Gap, Moved, Opening};
use trafcalc::capture::{Bytes, OpenNotes};

use super::support::{stderr, trafcalc};
use truth::{By, Each, Question, Truth, Who, Zone, day, utc};

mod shown;
mod truth;

const fn who(uid: u32, user: &'static str, unit: &'static str, class: &'static str) -> Who {
    Who { uid: Some(uid), user, unit, class, is_nobody: false }
}

/// Who moves something.
const ALL: [Who; 8] = [
    who(1000, "ada", "", "internet"),
    who(1000, "ada", "", "lan"),
    who(1000, "ada", "backup.service", "lan"),
    who(1001, "bob", "", "internet"),
    who(1001, "bob", "nginx.service", "internet"),
    who(1002, "cy", "nginx.service", "internet"),
    who(1002, "cy", "nginx.service", ""),
    Who { uid: None, user: "", unit: "", class: "internet", is_nobody: true },
];

fn time(second: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second.unsigned_abs())
}

/// A book of Berlin and what is in it.
struct Case {
    folder: tempfile::TempDir,
    book: Option<Book>,
    seq: u64,
    random: u64,
    truth: Truth,
}

impl Case {
    /// From 2025-01-28 on. The service was killed at noon of 2025-03-20, and came back on the next day at 18:00.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (begin, end) = (Zone::Berlin.midnight(day(1, 28)), Zone::Berlin.midnight(day(4, 4)));
        let book = Some(open(&folder.path().join("book.db"), begin));
        let truth = Truth { counted: begin..end, moved: Vec::new(), corrected: Vec::new() };
        let mut case = Self { folder, book, seq: 0, random: 7, truth };
        let (killed, back) = (utc(day(3, 20), 11, 0), utc(day(3, 21), 17, 0));
        case.count(begin..killed);
        // One process at a time has the book.
        case.book = None;
        (case.book, case.seq) = (Some(open(&case.path("book.db"), back)), 0);
        let gap = Gap { from: time(killed), to: time(back), cause: "the service was killed".to_owned() };
        case.commit(back + 300, &[], vec![gap]);
        case.count(back..end);
        case.report(end - 300, &[(0, 1, 1)]);
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A few reports a day, and on four days as many as tell a percentile.
    fn count(&mut self, time: std::ops::Range<i64>) {
        let dense = [day(3, 5), day(3, 9), day(3, 29), day(3, 30)];
        let mut slot = time.start;
        while slot < time.end - 300 {
            let is_dense = dense.iter().any(|day| (utc(*day, 0, 0)..utc(day + 1, 0, 0)).contains(&slot));
            if self.random(if is_dense { 2 } else { 80 }) == 0 {
                self.report_of_some(slot);
            }
            slot += 300;
        }
    }

    fn report_of_some(&mut self, slot: i64) {
        let places: Vec<_> = (0..ALL.len()).filter(|_| self.random(2) == 0).collect();
        let moved: Vec<_> =
            places.into_iter().map(|place| (place, self.random(20_000_000_000), self.random(9_000))).collect();
        self.report(slot, &moved);
    }

    /// Not below 0, and below `end`.
    fn random(&mut self, end: i64) -> i64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.random >> 33).unwrap() * 7 % end
    }

    /// A report of the five minutes from `slot` on, as it is booked and as it is.
    fn report(&mut self, slot: i64, moved: &[(usize, i64, i64)]) {
        self.truth.moved.extend(moved.iter().map(|(place, sent, received)| (slot, ALL[*place], *sent, *received)));
        self.commit(slot + 300, moved, Vec::new());
    }

    fn commit(&mut self, end: i64, moved: &[(usize, i64, i64)], gaps: Vec<Gap>) {
        self.seq += 1;
        let moved = moved.iter().map(|(place, sent, received)| Moved {
            account: key(&ALL[*place]),
            bytes: Bytes { sent: sent.unsigned_abs(), received: received.unsigned_abs() },
        });
        let commit = Commit {
            seq: self.seq,
            start: time(end - 60),
            end: time(end),
            monotonic: Duration::from_mins(1),
            moved: moved.collect(),
            baseline: None,
            health: "{}".to_owned(),
            records: None,
            gaps,
            open: OpenNotes::default(),
            ended: false,
        };
        self.book.as_mut().unwrap().commit(&commit).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        trafcalc(args).arg("--book").arg(self.path("book.db")).output().unwrap()
    }

    #[track_caller]
    fn printed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, told: &str, args: &[&str]) {
        let output = self.run(&[&["report"], args].concat());
        assert!(stderr(&output).contains(told), "{told:?} is not in {:?}", stderr(&output));
        assert_eq!((output.status.code(), output.stdout.len()), (Some(69), 0), "{}", stderr(&output));
    }

    /// Compares all figures of an answer, in each format, with the truth.
    #[track_caller]
    fn check(&self, period: &[&str], question: &Question) {
        let asked = self.args(period, question);
        let printed = |format: &str| {
            let with = ["report", "--bytes", format];
            self.printed(&with.into_iter().chain(asked.iter().map(String::as_str)).collect::<Vec<_>>())
        };
        let (rows, total) = self.truth.answer(question);
        assert!(rows.len() > 1, "{asked:?} asks for nothing");
        let expected = shown::expected(question, rows.iter().cloned());
        for (rows, sum) in [shown::json(&printed("--format=json")), shown::csv(&printed("--format=csv"))] {
            assert_same(&asked, rows.iter().map(|row| (&row.0, row.3[2])), &rows, &expected);
            assert_eq!(sum, total, "{asked:?}");
        }
        let (lines, sum) = shown::table(&printed("--format=table"));
        let expected = shown::expected_table(question, rows.iter().cloned());
        assert_same(&asked, lines.iter().map(|line| (&line.0, line.2[2])), &lines, &expected);
        assert_eq!(sum, total, "{asked:?}");
    }

    fn args(&self, period: &[&str], question: &Question) -> Vec<String> {
        let Question { by, each, zone, billing_day, user, is_billed, percentile, .. } = question;
        let by: Vec<_> = by.iter().map(|by| format!("{by:?}").to_lowercase()).collect();
        let mut args = vec![format!("--by={}", by.join(","))];
        args.extend(period.iter().map(|text| (*text).to_owned()));
        args.extend(each.map(|each| format!("--each={each:?}").to_lowercase()));
        args.extend((*zone != Zone::Berlin).then(|| format!("--zone={}", zone.name())));
        args.extend((*billing_day != 1).then(|| format!("--billing-day={billing_day}")));
        args.extend(user.map(|user| format!("--user={user}")));
        args.extend(is_billed.then(|| "--billed".to_owned()));
        args.extend(percentile.then(|| "--percentile=95".to_owned()));
        args.push(format!("--config={}", self.path("config.toml").display()));
        args
    }
}

/// That rows are as expected, and within a part the greatest comes first.
#[track_caller]
fn assert_same<'a, Row: Ord + Clone + std::fmt::Debug>(
    asked: &[String],
    volumes: impl Iterator<Item = (&'a String, i64)>,
    rows: &[Row],
    expected: &[Row],
) {
    let volumes: Vec<_> = volumes.collect();
    let is_ordered = |pair: &[(&String, i64)]| pair[0].0 != pair[1].0 || pair[0].1 >= pair[1].1;
    assert!(volumes.windows(2).all(is_ordered), "{asked:?}: {volumes:?}");
    let sorted = |rows: &[Row]| rows.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(rows.len(), expected.len(), "{asked:?}");
    assert_eq!(sorted(rows), sorted(expected), "{asked:?}");
}

fn open(path: &Path, now: i64) -> Book {
    let zone = TimeZone::get(Zone::Berlin.name()).unwrap();
    let now = time(now);
    let opening =
        Opening { path, zone, boot_id: "boot", version: "0", settings: "{}", billing_day: 1, sinks: &[], now };
    Book::open(&opening).unwrap().0
}

fn key(who: &Who) -> AccountKey {
    let text = |text: &str| (!text.is_empty()).then(|| text.into());
    let kind = if who.is_nobody { AccountKind::Unattributed } else { AccountKind::User };
    let user = (!who.user.is_empty()).then(|| who.user.to_owned());
    AccountKey { kind, uid: who.uid, user, program: None, unit: text(who.unit), class: text(who.class) }
}

/// Days of a zone.
fn days(zone: Zone, from: i64, to: i64) -> Question {
    Question {
        period: zone.midnight(from)..zone.midnight(to),
        by: vec![By::User],
        each: None,
        zone,
        billing_day: 1,
        user: None,
        is_billed: false,
        percentile: false,
    }
}

const EACH: [Option<Each>; 4] = [None, Some(Each::Hour), Some(Each::Day), Some(Each::Month)];

#[test]
fn every_figure_of_a_report_is_the_truth() {
    let mut case = Case::new();
    let class = "[[class]]\nname = 'lan'\nnetworks = ['10.0.0.0/8']\nbilled = false\n";
    std::fs::write(case.path("config.toml"), class).unwrap();
    let march = || days(Zone::Berlin, day(3, 1), day(4, 1));

    // A correction, then the month is closed, then what comes too late for it.
    let change = ["--sent=-1kB", "--received=+20", "--reason=backup"];
    case.printed(&[&["correct", "--user=ada", "--class=lan", "--day=2025-03-05"], &change[..]].concat());
    let ada = who(1000, "ada", "", "lan");
    case.truth.corrected.push((day(3, 5), ada, -1_000, 20));
    let told = case.printed(&["close", "--month=2025-03"]);
    let (_, sums) = case.truth.answer(&march());
    assert!(told.starts_with(&format!("2025-03 is closed: {} bytes sent, {} received;", sums[0], sums[1])), "{told}");
    case.printed(&["correct", "--user=bob", "--class=internet", "--day=2025-03-20", "--sent=+5000", "--reason=more"]);
    let bob = who(1001, "bob", "", "internet");
    case.truth.corrected.push((day(4, 1), bob, 5_000, 0));
    let late = [(2, 123_456, 7), (5, 8, 9)];
    case.commit(utc(day(3, 20), 10, 0), &late, Vec::new());
    let april = Zone::Berlin.midnight(day(4, 1));
    case.truth.moved.extend(late.map(|(place, sent, received)| (april, ALL[place], sent, received)));
    case.report(Zone::Berlin.midnight(day(4, 4)) - 300, &[(0, 1, 1)]);
    assert_eq!(case.truth.answer(&march()).1, sums, "nothing is added to a closed month");

    let month = &["--month=2025-03"][..];
    for by in [vec![By::User], vec![By::Unit], vec![By::Class], vec![By::User, By::Unit, By::Class]] {
        for each in EACH {
            case.check(month, &Question { by: by.clone(), each, ..march() });
        }
    }
    for each in EACH {
        case.check(&["--month=2025-02"], &Question { each, ..days(Zone::Berlin, day(2, 1), day(3, 1)) });
        // Of 23 hours.
        case.check(&["--day=2025-03-30"], &Question { each, ..days(Zone::Berlin, day(3, 30), day(3, 31)) });
        let billing = Question { billing_day: 15, ..days(Zone::Berlin, day(2, 15), day(3, 15)) };
        case.check(&["--month=2025-02"], &Question { each, ..billing });
        let both = Question { billing_day: 15, ..days(Zone::Berlin, day(2, 1), day(4, 1)) };
        case.check(&["--from=2025-02-01", "--to=2025-04-01"], &Question { each, ..both });
        let part = utc(day(3, 19), 7, 25)..utc(day(4, 2), 21, 40);
        let from = ["--from=2025-03-19T07:25Z", "--to=2025-04-02T21:40Z"];
        case.check(&from, &Question { each, period: part, ..march() });
        case.check(month, &Question { each, is_billed: true, by: vec![By::User, By::Class], ..march() });
        case.check(month, &Question { each, user: Some("ada"), by: vec![By::Unit], ..march() });
    }
    for zone in [Zone::London, Zone::NewYork, Zone::Kolkata] {
        for each in EACH {
            case.check(month, &Question { each, ..days(zone, day(3, 1), day(4, 1)) });
        }
    }
    for (period, question) in [
        (month, march()),
        (&["--day=2025-03-30"], days(Zone::Berlin, day(3, 30), day(3, 31))),
        (&["--day=2025-03-09"], days(Zone::NewYork, day(3, 9), day(3, 10))),
        (month, days(Zone::Kolkata, day(3, 1), day(4, 1))),
    ] {
        for each in EACH {
            case.check(period, &Question { each, percentile: true, ..question.clone() });
        }
        case.check(period, &Question { percentile: true, is_billed: true, by: vec![By::Unit], ..question });
    }

    // Rows of five minutes become too old: hours still tell what they can.
    let end = time(Zone::Berlin.midnight(day(4, 4)));
    while case.book.as_mut().unwrap().trim(end).unwrap().fine > 0 {}
    let february = &["--month=2025-02"][..];
    case.refused("needs rows of five minutes", &[february, &["--zone=Asia/Kolkata"]].concat());
    case.refused("needs rows of five minutes", &[february, &["--percentile=95"]].concat());
    case.check(february, &days(Zone::NewYork, day(2, 1), day(3, 1)));
    case.check(month, &Question { percentile: true, ..march() });
    let told = case.printed(&["history", "check"]);
    assert!(told.contains("2025-03: as it was closed"), "{told}");
}
