//! Corrections, closed months and the care of a book: what is printed, how it exits, and every figure by hand.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::Connection;
use serde_json::Value;
use trafcalc::book::{AccountKey, AccountKind, Book, Commit, Moved, Opening};
use trafcalc::capture::{Bytes, OpenNotes};

use super::support::{stderr, trafcalc};

mod billing_day;
mod classes;
mod hostile;

fn time(text: &str) -> SystemTime {
    text.parse::<Timestamp>().unwrap().try_into().unwrap()
}

/// A folder with a book of Berlin: two months of last year, of which every byte is known.
struct Case {
    folder: tempfile::TempDir,
    book: Option<Book>,
    seq: u64,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut case = Self { folder, book: None, seq: 0 };
        case.open("2025-09-30T22:00:00Z");
        case.moved("2025-10-05T10:00:00Z", "ada", None, 5_000, 100);
        case.moved("2025-10-05T11:00:00Z", "bob", Some("x.service"), 300, 0);
        // Half an hour before November, in Berlin.
        case.moved("2025-10-31T22:30:00Z", "bob", None, 40, 0);
        case.moved("2025-11-02T10:00:00Z", "ada", None, 7_000, 0);
        case.moved("2025-12-01T10:00:00Z", "ada", None, 1, 1);
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&mut self, now: &str) {
        self.open_with(now, 1);
    }

    fn open_with(&mut self, now: &str, billing_day: i8) {
        self.book = None;
        let (path, zone, now) = (self.path("book.db"), TimeZone::get("Europe/Berlin").unwrap(), time(now));
        let opening =
            Opening { path: &path, zone, billing_day, boot_id: "boot", version: "0", settings: "{}", sinks: &[], now };
        self.book = Some(Book::open(&opening).unwrap().0);
    }

    fn moved(&mut self, end: &str, user: &str, unit: Option<&str>, sent: u64, received: u64) {
        let uid = if user == "ada" { 1000 } else { 1001 };
        self.moved_by(end, uid, Some(user), unit, sent, received);
    }

    fn moved_by(&mut self, end: &str, uid: u32, user: Option<&str>, unit: Option<&str>, sent: u64, received: u64) {
        let (user, program, unit) = (user.map(str::to_owned), None, unit.map(Into::into));
        let account = AccountKey { kind: AccountKind::User, uid: Some(uid), user, program, unit, class: None };
        self.moved_of(end, account, sent, received);
    }

    fn moved_of(&mut self, end: &str, account: AccountKey, sent: u64, received: u64) {
        self.seq += 1;
        let (minute, end) = (Duration::from_mins(1), time(end));
        let commit = Commit {
            seq: self.seq,
            start: end - minute,
            end,
            monotonic: minute,
            moved: vec![Moved { account, bytes: Bytes { sent, received } }],
            baseline: None,
            health: "{}".to_owned(),
            records: None,
            gaps: Vec::new(),
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
    fn refused(&self, code: i32, told: &str, args: &[&str]) {
        let output = self.run(args);
        assert!(stderr(&output).contains(told), "{told:?} is not in {:?}", stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    }

    /// The rows of an answer in all formats: who, sent, received, in all; the total last. They have to be the same.
    #[track_caller]
    fn figures(&self, args: &[&str]) -> Vec<(String, i64, i64, i64)> {
        let in_format = |format: &str| self.printed(&[&["report", format, "--bytes"], args].concat());
        let table = in_format("--format=table");
        let lines = table.lines().filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let (names, numbers) = words.split_at_checked(words.len().checked_sub(3)?)?;
            let numbers: Vec<i64> = numbers.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?;
            Some((names.join(" "), numbers[0], numbers[1], numbers[2])).filter(|(who, ..)| !who.is_empty())
        });
        let lines: Vec<_> = lines.collect();
        let json: Value = serde_json::from_str(&in_format("--format=json")).unwrap();
        let of_json = |row: &Value| {
            let number = |name: &str| row[name].as_i64().unwrap();
            (number("sent_bytes"), number("received_bytes"), number("total_bytes"))
        };
        let rows = json["rows"].as_array().unwrap().iter().chain([&json["total"]]);
        let figures = |(_, sent, received, total): &(String, i64, i64, i64)| (*sent, *received, *total);
        assert_eq!(lines.iter().map(figures).collect::<Vec<_>>(), rows.map(of_json).collect::<Vec<_>>(), "{table}");
        let csv = in_format("--format=csv");
        let lines_of_csv = csv.lines().filter(|line| line.starts_with("row,") || line.starts_with("total,"));
        let of_csv = lines_of_csv.map(|line| {
            let fields: Vec<_> = line.split(',').collect();
            (fields[10].parse().unwrap(), fields[11].parse().unwrap(), fields[12].parse().unwrap())
        });
        assert_eq!(lines.iter().map(figures).collect::<Vec<_>>(), of_csv.collect::<Vec<_>>(), "{csv}");
        lines
    }
}

fn row(who: &str, sent: i64, received: i64) -> (String, i64, i64, i64) {
    (who.to_owned(), sent, received, sent + received)
}

/// Of a month with a correction.
const OCTOBER: [&str; 1] = ["--month=2025-10"];
const NOVEMBER: [&str; 1] = ["--month=2025-11"];
const CORRECT: [&str; 6] =
    ["correct", "--user=ada", "--day=2025-10-05", "--sent=-1kB", "--received=+20", "--reason=backup, not hers"];

#[test]
fn a_correction_is_in_the_figures_of_periods_that_have_its_day_and_beside_what_was_measured() {
    let case = Case::new();
    let before = case.figures(&OCTOBER);
    assert_eq!(before, [row("ada", 5_000, 100), row("bob", 340, 0), row("total", 5_340, 100)]);
    // The service has the book open, and its lock.
    assert_eq!(case.printed(&CORRECT), "correction 1: ada, 2025-10-05: sent -1000, received +20 bytes\n");
    let corrected = [row("ada", 4_000, 120), row("bob", 340, 0), row("total", 4_340, 120)];
    assert_eq!(case.figures(&OCTOBER), corrected);
    assert_eq!(case.figures(&["--day=2025-10-05"])[0], row("ada", 4_000, 120));
    assert_eq!(case.figures(&["--from=2025-10-05", "--to=2025-10-06"])[0], row("ada", 4_000, 120));
    assert_eq!(case.figures(&["--month=2025-10", "--each=day"])[0], row("ada", 4_000, 120));
    assert_eq!(case.figures(&["--month=2025-10", "--billing-day=5"])[0].1, 11_000);
    assert_eq!(case.figures(&NOVEMBER)[0], row("ada", 7_000, 0));
    assert_eq!(case.figures(&["--month=2025-10", "--user=bob"]), [row("bob", 340, 0), row("total", 340, 0)]);
    let table = case.printed(&["report", "--month=2025-10", "--bytes"]);
    let under =
        "1 correction is in these figures:\n  2025-10-05: ada -1000 sent, +20 received: backup, not hers (no. 1)\n";
    assert!(table.ends_with(under), "{table}");
    let json: Value = serde_json::from_str(&case.printed(&["report", "--month=2025-10", "--format=json"])).unwrap();
    assert_eq!(json["rows"][0]["correction_sent_bytes"], -1_000);
    assert_eq!(json["total"]["correction_received_bytes"], 20);
    let [correction] = &json["corrections"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!((&correction["user"], &correction["date"]), (&"ada".into(), &"2025-10-05".into()));
    assert_eq!((&correction["sent_bytes"], &correction["reason"]), (&(-1_000).into(), &"backup, not hers".into()));
    let csv = case.printed(&["report", "--month=2025-10", "--format=csv"]);
    let line = "correction,2025-10-05T00:00:00+02:00,2025-10-06T00:00:00+02:00,1000,ada,,,,,,-1000,20,-980,\"backup, not hers\"\r\n";
    assert!(csv.contains(line), "{csv}");
    // What is measured is not changed.
    let measured = Connection::open(case.path("book.db")).unwrap();
    let sum = |sql: &str| measured.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(sum("SELECT sum(sent) FROM day"), 12_341);
}

#[test]
fn a_correction_is_of_a_whole_day_and_of_no_unit() {
    let case = Case::new();
    case.printed(&CORRECT);
    let note = "Corrections of 2025-10-05 are not in these figures, because a correction is of a whole day";
    let (late, early) =
        (["--from=2025-10-05 09:00", "--to=2025-10-06"], ["--from=2025-10-05", "--to=2025-10-05 23:00"]);
    for args in [&["--day=2025-10-05", "--each=hour"], &late, &early] {
        assert_eq!(case.figures(args)[0], row("ada", 5_000, 100));
        assert!(case.printed(&[&["report"][..], args].concat()).contains(note));
    }
    let by_unit = case.figures(&["--month=2025-10", "--by=unit"]);
    assert_eq!(by_unit, [row("-", 4_040, 120), row("x.service", 300, 0), row("total", 4_340, 120)]);
    // Bob has bytes of his unit alone on that day; his correction is of his account without one, which may be less than 0.
    case.printed(&["correct", "--user=1001", "--day=2025-10-05", "--sent=-300", "--reason=test"]);
    let by_unit = case.figures(&["--day=2025-10-05", "--by=user,unit", "--user=bob"]);
    assert_eq!(by_unit, [row("bob x.service", 300, 0), row("bob -", -300, 0), row("total", 0, 0)]);
    assert_eq!(case.figures(&["--day=2025-10-05", "--top=1"])[1], row("(others: 1)", 0, 0));
}

#[test]
fn a_correction_that_makes_no_sense_is_refused() {
    let case = Case::new();
    let with = |user: &'static str, day: &'static str, sent: &'static str, reason: &'static str| {
        ["correct", "--user", user, "--day", day, "--sent", sent, "--reason", reason]
    };
    case.refused(
        64,
        "there is no user \"adda\" in the book; did you mean \"ada\"?",
        &with("adda", "2025-10-05", "1", "x"),
    );
    case.refused(64, "a correction of nothing", &with("ada", "2025-10-05", "-0", "x"));
    case.refused(64, "needs a --reason", &with("ada", "2025-10-05", "1", " "));
    case.refused(64, "ada sent 5000 bytes on 2025-10-05", &with("ada", "2025-10-05", "-5001", "x"));
    case.refused(64, "has not begun yet", &with("ada", "9000-01-01", "1", "x"));
    case.refused(
        64,
        "\"much\" is not an amount such as -5GB or +1000, up to 1PB",
        &with("ada", "2025-10-05", "much", "x"),
    );
    case.refused(64, "\"2PB\" is not an amount", &with("ada", "2025-10-05", "2PB", "x"));
    case.refused(64, "is not a day", &with("ada", "soon", "1", "x"));
    case.printed(&with("ada", "2025-10-05", "-5000", "all of it"));
    case.refused(64, "ada sent 0 bytes on 2025-10-05, with all corrections", &with("ada", "2025-10-05", "-1", "x"));
    let nowhere = trafcalc(&with("ada", "today", "1", "x")).args(["--book", "/nonexistent/book.db"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(69), "{}", stderr(&nowhere));
}

#[test]
fn nothing_is_added_to_a_closed_month_and_what_comes_later_is_told() {
    let mut case = Case::new();
    case.printed(&CORRECT);
    let told = case.printed(&["close", "--month=2025-10"]);
    assert!(told.starts_with("2025-10 is closed: 4340 bytes sent, 120 received; SHA-256 "), "{told}");
    let sha256 = told.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(sha256.len(), 64);
    case.refused(64, &format!("2025-10 is closed already: SHA-256 {sha256}"), &["close", "--month=2025-10"]);
    let late = ["correct", "--user=ada", "--day=2025-10-05", "--sent=-500", "--reason=more of it"];
    let told = case.printed(&late);
    assert_eq!(
        told,
        "correction 2: ada, 2025-10-05: sent -500, received +0 bytes\nthe month of 2025-10-05 is closed: it counts on 2025-11-01\n"
    );
    case.moved("2025-10-20T10:00:00Z", "ada", None, 9, 0);
    // Of an hour that is October in Berlin, but not in UTC's neighbours to the east.
    case.moved("2025-10-31T22:59:00Z", "bob", None, 11, 0);

    let october = [row("ada", 4_000, 120), row("bob", 340, 0), row("total", 4_340, 120)];
    assert_eq!(case.figures(&OCTOBER), october);
    let november = [row("ada", 6_509, 0), row("bob", 11, 0), row("total", 6_520, 0)];
    assert_eq!(case.figures(&NOVEMBER), november);
    assert_eq!(case.figures(&["--day=2025-11-01"]), [row("bob", 11, 0), row("ada", -491, 0), row("total", -480, 0)]);

    let table = case.printed(&["report", "--month=2025-10", "--bytes"]);
    assert!(table.contains("2025-10 was closed at 20") && table.contains(&sha256), "{table}");
    assert!(table.contains(" with 4340 sent, 120 received; SHA-256 "), "{table}");
    let note = "What moved from 2025-10-20 11:59 to 2025-10-20 12:00 (9 B sent, 0 B received) is in the five minutes from \
                2025-11-01 00:00 to 2025-11-01 00:05: its month was closed.";
    assert!(table.contains(note), "{table}");
    let table = case.printed(&["report", "--month=2025-11", "--bytes"]);
    assert!(table.contains(note) && !table.contains("was closed at"), "{table}");
    assert!(
        table.contains("2025-11-01 (of 2025-10-05, whose month was closed): ada -500 sent: more of it (no. 2)"),
        "{table}"
    );
    let json: Value = serde_json::from_str(&case.printed(&["report", "--month=2025-10", "--format=json"])).unwrap();
    let closed = &json["closed"][0];
    assert_eq!(
        (&closed["month"], &closed["sent_bytes"], &closed["sha256"]),
        (&"2025-10".into(), &4_340.into(), &sha256.as_str().into())
    );
    let csv = case.printed(&["report", "--month=2025-10", "--format=csv"]);
    let line = format!("closed,2025-10-01T00:00:00+02:00,2025-11-01T00:00:00+01:00,,,,,,,,4340,120,4460,{sha256}\r\n");
    assert!(csv.contains(&line), "{csv}");

    let checked = case.printed(&["history", "check"]);
    assert!(
        checked.contains(&format!("2025-10: as it was closed, 4340 bytes sent, 120 received; SHA-256 {sha256}\n")),
        "{checked}"
    );
}

#[test]
fn a_month_stays_closed_where_the_zone_changes() {
    let mut case = Case::new();
    case.printed(&["close", "--month=2025-10"]);
    for zone in ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
        case.book = None;
        let (path, zone, now) = (case.path("book.db"), TimeZone::get(zone).unwrap(), time("2026-01-01T00:00:00Z"));
        let opening = Opening {
            path: &path,
            zone,
            billing_day: 1,
            boot_id: "boot",
            version: "0",
            settings: "{}",
            sinks: &[],
            now,
        };
        case.book = Some(Book::open(&opening).unwrap().0);
        // October by each of the zones, and before and behind it.
        for end in ["2025-09-30T12:00:00Z", "2025-10-01T08:00:00Z", "2025-10-31T22:59:00Z", "2025-10-31T23:30:00Z"] {
            case.moved(end, "ada", None, 1, 0);
            case.moved("2025-11-01T09:00:00Z", "ada", None, 1, 0);
        }
    }
    case.printed(&["history", "check"]);
    let book = Connection::open(case.path("book.db")).unwrap();
    let sum = |sql: &str| book.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(sum("SELECT sum(sent) FROM day") - 12_341, 24);
    assert_eq!(sum("SELECT count(*) FROM fine WHERE start_s >= 1759269600 AND start_s < 1761951600"), 3);
}

#[test]
fn a_name_that_becomes_known_changes_no_closed_month() {
    let mut case = Case::new();
    case.moved_by("2025-10-06T10:00:00Z", 1002, None, None, 3, 4);
    case.printed(&["close", "--month=2025-10"]);
    case.moved_by("2025-12-01T11:00:00Z", 1002, Some("eve"), None, 1, 0);
    assert!(case.figures(&OCTOBER).contains(&row("eve", 3, 4)));
    case.printed(&["history", "check"]);
}

#[test]
fn a_closed_month_that_was_changed_is_found() {
    for sql in [
        "UPDATE past_day SET sent = sent - 1 WHERE date = '2025-10-05'",
        "DELETE FROM past_day WHERE date = '2025-10-31'",
        "UPDATE account SET user = 'eve' WHERE user = 'bob'",
        "UPDATE correction SET reason = 'another'",
        "UPDATE past_day SET date = '2025-10-06' WHERE date = '2025-10-05'",
    ] {
        let case = Case::new();
        case.printed(&CORRECT);
        case.printed(&["close", "--month=2025-10"]);
        Connection::open(case.path("book.db")).unwrap().execute(sql, []).unwrap();
        let output = case.run(&["history", "check"]);
        let told = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(told.contains("2025-10: NOT as it was closed: its SHA-256 is "), "{sql}: {told}");
        assert_eq!(output.status.code(), Some(1), "{sql}");
    }
}

#[test]
fn the_hash_is_that_of_the_text_that_is_documented() {
    let case = Case::new();
    let told = case.printed(&["close", "--month=2025-11"]);
    // printf '["trafcalc month",1,"2025-11-01","2025-12-01","Europe/Berlin"]\n["day","2025-11-02",0,1000,"ada",null,null,null,7000,0]\n' | sha256sum
    assert!(told.ends_with("SHA-256 b689d569b5f1546bfee793fd71d29a9de5b9ff2f578d217eccd60740a1fe43ae\n"), "{told}");
}

#[test]
fn a_month_that_is_not_over_stays_open() {
    let mut case = Case::new();
    let now = Timestamp::now();
    let month = TimeZone::get("Europe/Berlin").unwrap().to_datetime(now).strftime("%Y-%m").to_string();
    case.open(&now.to_string());
    case.refused(64, "is not over in Europe/Berlin", &["close", "--month", &month]);
    case.refused(64, "is not over in Europe/Berlin", &["close", "--month=9000-01"]);
    case.refused(64, "is not a month", &["close", "--month=soon"]);
    case.refused(64, " is not over in Europe/Berlin", &["close", "--month=this"]);
}

#[test]
fn a_backup_is_the_book_as_it_is() {
    let case = Case::new();
    case.printed(&CORRECT);
    let (copy, text) = (case.path("copy.db"), case.path("copy.db").to_str().unwrap().to_owned());
    let told = case.printed(&["history", "backup", &text]);
    assert_eq!(told, format!("{text}: {} bytes\n", std::fs::metadata(&copy).unwrap().len()));
    let report = trafcalc(&["report", "--month=2025-10", "--book"]).arg(&copy).output().unwrap();
    assert_eq!(String::from_utf8(report.stdout).unwrap(), case.printed(&["report", "--month=2025-10"]));
    // Nothing is written over.
    case.refused(74, "exists", &["history", "backup", &text]);
    let checked = trafcalc(&["history", "check", "--book"]).arg(&copy).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
}

/// A log of a service that kept no book, from before the book was begun: two lives, a report that is half written, and rubbish.
const LOG: &str = "\
type=account time=2025-09-16T10:01:00.000Z epoch=1758016800000 seq=1 interval_s=60.0 uid=1000 user=ada sent_bytes=100 received_bytes=10 sent_bytes_total=100 received_bytes_total=10
type=account time=2025-09-16T10:01:00.000Z epoch=1758016800000 seq=1 interval_s=60.0 uid=null user=null account=(unattributed) sent_bytes=5 received_bytes=0 sent_bytes_total=5 received_bytes_total=0
type=summary time=2025-09-16T10:01:00.000Z epoch=1758016800000 seq=1 since=2025-09-16T10:00:00.000Z interval_s=60.0 backend=packet accounts=2 sent_bytes=105 received_bytes=10 sent_bytes_total=105 received_bytes_total=10
type=clock time=2025-09-16T10:02:00.000Z epoch=1758016800000 seq=3 step_s=1.0
type=account time=2025-09-16T10:02:00.000Z epoch=1758016800000 seq=3 interval_s=60.0 uid=1002 user=\"a b\" unit=\"x y.service\" sent_bytes=7 received_bytes=0 sent_bytes_total=7 received_bytes_total=0
type=summary time=2025-09-16T10:02:00.000Z epoch=1758016800000 seq=3 since=2025-09-16T10:00:00.000Z interval_s=60.0 backend=packet accounts=3 sent_bytes=7 received_bytes=0 sent_bytes_total=112 received_bytes_total=10
type=account time=2025-09-16T10:03:00.000Z epoch=1758016800000 seq=4 interval_s=60.0 uid=1000 user=ada sent_bytes=9999 received_bytes=0 sent_bytes_total=1 received_bytes_total=1
not a record
{\"type\":\"account\",\"time\":\"2025-09-20T00:00:00.000Z\",\"epoch\":1758300000000,\"seq\":1,\"interval_s\":10.0,\"uid\":1000,\"user\":\"ada\",\"sent_bytes\":1000,\"received_bytes\":0}
{\"type\":\"summary\",\"time\":\"2025-09-20T00:00:00.000Z\",\"epoch\":1758300000000,\"seq\":1,\"interval_s\":10.0,\"sent_bytes\":1000,\"received_bytes\":0}
{\"type\":\"account\",\"time\":\"2025-09-20T00:00:10.000Z\",\"epoch\":1758300000000,\"seq\":2,\"interval_s\":10.0,\"uid\":1000,\"user\":\"ada\",\"sent_bytes\":1000,\"received_bytes\":0}
{\"type\":\"summary\",\"time\":\"2025-09-20T00:00:10.000Z\",\"epoch\":1758300000000,\"seq\":2,\"interval_s\":10.0,\"sent_bytes\":999,\"received_bytes\":0}
{\"type\":\"account\",\"time\":\"2025-10-07T00:00:00.000Z\",\"epoch\":1758300000000,\"seq\":3,\"interval_s\":10.0,\"uid\":1000,\"user\":\"ada\",\"sent_bytes\":1000,\"received_bytes\":0}
{\"type\":\"summary\",\"time\":\"2025-10-07T00:00:00.000Z\",\"epoch\":1758300000000,\"seq\":3,\"interval_s\":10.0,\"sent_bytes\":1000,\"received_bytes\":0}
";

#[test]
fn an_old_log_becomes_history_once() {
    let case = Case::new();
    let (log, october) = (case.path("traffic.1"), case.figures(&OCTOBER));
    std::fs::write(&log, LOG).unwrap();
    let import = ["history", "import-log", log.to_str().unwrap()];
    let told = "3 reports imported: 1112 bytes sent, 10 received\n\
                1 reports are of the time since the book was begun, which has them itself\n\
                2 reports are not whole or do not add up, and were left out\n\
                1 lines are no records of trafcalc, and were left out\n";
    assert_eq!(case.printed(&import), told);
    let again = case.printed(&import);
    assert!(
        again.starts_with("0 reports imported: 0 bytes sent, 0 received\n3 reports were imported before\n"),
        "{again}"
    );
    let september = [row("ada", 1_100, 10), row("a b", 7, 0), row("(unattributed)", 5, 0), row("total", 1_112, 10)];
    assert_eq!(case.figures(&["--month=2025-09"]), september);
    assert_eq!(case.figures(&["--day=2025-09-16", "--by=unit"])[1], row("x y.service", 7, 0));
    assert_eq!(case.figures(&OCTOBER), october);
    let table = case.printed(&["report", "--month=2025-09"]);
    for note in [
        "The book was begun at 2025-09-16 12:00.",
        "What is from 2025-09-16 12:00 to 2025-09-20 02:00 was imported from logs.",
        "  2025-09-16 12:02 to 2025-09-20 01:59:50 (3 d 13 h): no log of this time was imported",
        "  2025-09-20 02:00 to 2025-10-01 00:00 (10 d 22 h): no log of this time was imported",
    ] {
        assert!(table.contains(note), "{note}: {table}");
    }
    case.printed(&["history", "check"]);
}

#[test]
fn a_number_in_a_log_is_not_who_has_that_number_now() {
    let mut case = Case::new();
    let log = case.path("traffic.1");
    let text = LOG.lines().take(3).collect::<Vec<_>>().join("\n") + "\n";
    let numbers = text.replace("user=ada", "user=1000");
    assert_ne!(numbers, text);
    // The book has this number as ada, who may have been given it since.
    std::fs::write(&log, &numbers).unwrap();
    let import = ["history", "import-log", log.to_str().unwrap()];
    let told = case.printed(&import);
    assert!(
        told.contains("\n110 bytes are of users whom the log has by number alone, and are booked by the number\n"),
        "{told}"
    );
    let nobody = |sent| row("(unattributed)", sent, 0);
    assert_eq!(case.figures(&["--month=2025-09"]), [row("1000", 100, 10), nobody(5), row("total", 105, 10)]);
    // The next life knew the name later: a report of its own, a moment on.
    let named = text.replace("user=ada", "user=eva").replace("seq=1 ", "seq=2 ").replace("10:00:", "10:01:");
    let both = (numbers + &named).replace("epoch=1758016800000", "epoch=5");
    let mut zcat = trafcalc(&["history", "import-log", "/dev/stdin", "--book"]);
    let child = zcat.arg(case.path("book.db")).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = child.spawn().unwrap();
    child.stdin.take().unwrap().write_all(both.as_bytes()).unwrap();
    let told = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(told.starts_with("2 reports imported") && !told.contains("by number"), "{told}");
    let september = [row("eva", 200, 20), row("1000", 100, 10), nobody(15), row("total", 315, 30)];
    assert_eq!(case.figures(&["--month=2025-09"]), september);
    // Nor does the service take a number of the log for the name of a user whom it does not know yet.
    std::fs::write(
        &log,
        text.replace("uid=1000 user=ada", "uid=1003 user=1003").replace("epoch=1758016800000", "epoch=6"),
    )
    .unwrap();
    case.printed(&import);
    case.moved_by("2025-12-01T10:01:00Z", 1003, None, None, 7, 0);
    case.moved_by("2025-12-01T10:02:00Z", 1003, Some("fred"), None, 1, 0);
    assert_eq!(case.figures(&["--day=2025-12-01"])[0], row("fred", 8, 0));
}

#[test]
fn a_line_without_an_end_is_left_out_and_takes_no_memory() {
    let case = Case::new();
    let log = case.path("traffic.1");
    let mut text = LOG.lines().take(3).collect::<Vec<_>>().join("\n");
    text = format!("type=x {}\n{text}\n{}", "y".repeat(3 << 20), "z".repeat(1 << 20));
    std::fs::write(&log, text).unwrap();
    let told = case.printed(&["history", "import-log", log.to_str().unwrap()]);
    assert_eq!(
        told,
        "1 reports imported: 105 bytes sent, 10 received\n2 lines have more than 1 MiB, and were left out\n"
    );
}

#[test]
fn nothing_of_a_log_is_added_to_a_closed_month() {
    let case = Case::new();
    let log = case.path("traffic.1");
    std::fs::write(&log, LOG).unwrap();
    case.printed(&["close", "--month=2025-09"]);
    let told = case.printed(&["history", "import-log", log.to_str().unwrap()]);
    assert!(told.starts_with("0 reports imported") && told.contains("3 reports are of a closed month"), "{told}");
    case.printed(&["history", "check"]);
    case.refused(69, "No such file", &["history", "import-log", "/nonexistent"]);
}

#[test]
fn an_export_goes_on_where_the_last_one_ended() {
    let mut case = Case::new();
    case.printed(&CORRECT);
    case.printed(&["close", "--month=2025-10"]);
    let lines = |args: &[&str]| -> Vec<Value> {
        let text = case.printed(&[&["history", "export"], args].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = lines(&[]);
    let kinds =
        |all: &[Value]| all.iter().map(|record| record["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mut expected = ["report"; 5].to_vec();
    expected.extend(["bytes"; 5]);
    expected.extend(["correction", "closed", "next"]);
    assert_eq!(kinds(&all), expected);
    let sum = |kind: &str| {
        let of_kind = all.iter().filter(|record| record["type"] == kind);
        of_kind.map(|record| record["sent_bytes"].as_i64().unwrap()).sum::<i64>()
    };
    assert_eq!((sum("report"), sum("bytes"), sum("correction")), (12_341, 12_341, -1_000));
    assert_eq!((&all[6]["user"], &all[6]["unit"]), (&"bob".into(), &"x.service".into()));
    assert_eq!(
        (&all[5]["from"], &all[5]["to"]),
        (&"2025-10-05T09:55:00.000Z".into(), &"2025-10-05T10:00:00.000Z".into())
    );
    let next = all.last().unwrap();
    let after = format!("--after={}/{}", next["epoch"], next["seq"]);
    // Nothing but what a person did behind the last report, which has a number.
    let more = lines(&[&after]);
    assert_eq!(kinds(&more), ["correction", "closed", "next"]);
    assert_eq!((&more[0]["seq"], &more[0]), (&1.into(), &all[10]));
    let csv = case.printed(&["history", "export", "--format=csv"]);
    assert!(csv.starts_with(
        "type,epoch,seq,from,to,account_id,uid,user,unit,program,class,account,sent_bytes,received_bytes,cause\r\n"
    ));
    assert!(
        csv.contains("correction,,1,2025-10-05,2025-10-05,1,1000,ada,,,,,-1000,20,\"backup, not hers\"\r\n"),
        "{csv}"
    );
    let epoch = next["epoch"].as_u64().unwrap();
    case.moved("2025-12-02T10:00:00Z", "ada", None, 3, 4);
    let text = case.printed(&["history", "export", &after]);
    assert!(text.contains("\"sent_bytes\":3") && !text.contains("\"sent_bytes\":1,"), "{text}");
    assert!(text.ends_with(&format!("{{\"type\":\"next\",\"epoch\":{epoch},\"seq\":6}}\n")), "{text}");
    case.refused(
        69,
        "reports are kept for 35 days, and the first one that is left is",
        &["history", "export", "--after=1/1"],
    );
    case.refused(64, "not a report such as", &["history", "export", "--after=7"]);
}

#[test]
fn an_account_is_known_again_in_an_export_when_it_has_a_name() {
    let mut case = Case::new();
    let exported = |case: &Case, args: &[&str]| -> Vec<Value> {
        let text = case.printed(&[&["history", "export"], args].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    case.moved_by("2025-12-03T10:01:00Z", 1002, None, None, 3, 4);
    let first = exported(&case, &[]);
    let next = first.last().unwrap();
    let after = format!("--after={}/{}", next["epoch"], next["seq"]);
    // Its five minutes are told again, with a name now.
    case.moved_by("2025-12-03T10:02:00Z", 1002, Some("eve"), None, 5, 0);
    let mut copy = std::collections::BTreeMap::new();
    let second = exported(&case, &[&after]);
    for record in first.iter().chain(&second).filter(|record| record["type"] == "bytes") {
        let key = (record["from"].as_str().unwrap(), record["account_id"].as_i64().unwrap());
        copy.insert(key, (record["user"].as_str(), record["sent_bytes"].as_i64().unwrap()));
    }
    let eve: Vec<_> = copy.into_iter().filter(|((from, _), _)| from.starts_with("2025-12-03")).collect();
    assert!(eve.len() == 1 && eve[0].1 == (Some("eve"), 8), "{eve:?}");
}
