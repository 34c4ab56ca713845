//! Asking a book: what is printed, how it exits, and that nothing changes on the disk.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use trafcalc::book::{AccountKey, AccountKind, Book, Commit, Gap, Moved, Opening};
use trafcalc::capture::{Bytes, OpenNotes};

use super::support::{OVERRIDES, run_without, stderr, trafcalc};

mod asked;

/// A folder with a book of Berlin, in which ada, and on the next day bob, moved something.
struct Case {
    folder: tempfile::TempDir,
}

fn time(text: &str) -> SystemTime {
    text.parse::<Timestamp>().unwrap().try_into().unwrap()
}

fn open(path: &Path) -> Book {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let now = time("2026-11-02T23:30:00Z");
    Book::open(&Opening {
        path,
        zone,
        billing_day: 1,
        boot_id: "boot",
        version: "0.1.0",
        settings: "{}",
        sinks: &[],
        now,
    })
    .unwrap()
    .0
}

fn moved(uid: u32, user: &str, sent: u64, received: u64) -> Moved {
    let user = Some(user.to_owned());
    let account = AccountKey { kind: AccountKind::User, uid: Some(uid), user, program: None, unit: None, class: None };
    Moved { account, bytes: Bytes { sent, received } }
}

fn commit(seq: u64, end: &str, moved: Vec<Moved>) -> Commit {
    let minute = Duration::from_mins(1);
    let (start, end) = (time(end) - minute, time(end));
    let (health, gaps) = ("{}".to_owned(), Vec::new());
    let (baseline, records, open) = (None, None, OpenNotes::default());
    Commit { seq, start, end, monotonic: minute, moved, baseline, health, records, gaps, open, ended: false }
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let case = Self { folder };
        let mut book = open(&case.book());
        let unknown = AccountKey {
            kind: AccountKind::Unattributed,
            uid: None,
            user: None,
            program: None,
            unit: None,
            class: None,
        };
        let nobody = Moved { account: unknown, bytes: Bytes { sent: 7, received: 0 } };
        let ada = moved(1000, "ada", 1_500_000, 2_500);
        book.commit(&commit(1, "2026-11-03T10:01:00Z", vec![ada, nobody])).unwrap();
        let (from, to) = (time("2026-11-03T10:01:00Z"), time("2026-11-03T12:00:00Z"));
        let gap = Gap { from, to, cause: "the service was killed".to_owned() };
        let bob = commit(2, "2026-11-04T10:01:00Z", vec![moved(1001, "bob", 1, 2)]);
        book.commit(&Commit { gaps: vec![gap], ..bob }).unwrap();
        case
    }

    fn book(&self) -> PathBuf {
        self.folder.path().join("book.db")
    }

    /// All files with what is in them, but for the memory that readers and the writer of a book share.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let paths = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let file = |path: PathBuf| {
            let text = if path.ends_with("book.db-shm") { Vec::new() } else { fs::read(&path).unwrap() };
            (path, text)
        };
        let mut files: Vec<_> = paths.map(file).collect();
        files.sort();
        files
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = trafcalc(&["report"]);
        command.args(args).arg("--book").arg(self.book());
        command
    }

    #[track_caller]
    fn printed(&self, args: &[&str]) -> String {
        let before = self.files();
        let output = self.command(args).output().unwrap();
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
        assert!(self.files() == before, "something changed");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[track_caller]
fn expect(code: i32, told: &str, output: &Output) {
    assert!(stderr(output).contains(told), "{told:?} is not in {:?}", stderr(output));
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_day_is_told_as_a_table() {
    let expected = "\
2026-11-03 00:00 to 2026-11-04 00:00 (Europe/Berlin)
The book was begun at 2026-11-03 00:30.

user               sent  received    total
ada             1.50 MB   2.50 kB  1.50 MB
(unattributed)      7 B       0 B      7 B
total           1.50 MB   2.50 kB  1.50 MB

1 gap, 1 h 59 min in all:
  2026-11-03 11:01 to 2026-11-03 13:00 (1 h 59 min): the service was killed
";
    assert_eq!(Case::new().printed(&["--day", "2026-11-03"]), expected);
}

#[test]
fn a_month_is_told_by_day_and_exactly() {
    let expected = "\
2026-11-01 00:00 to 2026-12-01 00:00 (Europe/Berlin), counted until 2026-11-04 11:01
The book was begun at 2026-11-03 00:30.

user               sent  received    total

2026-11-03
ada             1500000      2500  1502500
(unattributed)        7         0        7

2026-11-04
bob                   1         2        3

total           1500008      2502  1502510

1 gap, 1 h 59 min in all:
  2026-11-03 11:01 to 2026-11-03 13:00 (1 h 59 min): the service was killed
";
    assert_eq!(Case::new().printed(&["--month=2026-11", "--each=day", "--bytes"]), expected);
}

#[test]
fn json_and_csv_are_for_programs() {
    let case = Case::new();
    let args = ["--from=2026-11-04", "--to=2026-11-05", "--by=user,unit"];
    let json = r#"{"schema":1,"from":"2026-11-04T00:00:00+01:00","to":"2026-11-05T00:00:00+01:00","zone":"Europe/Berlin","counted_from":"2026-11-04T00:00:00+01:00","counted_to":"2026-11-04T11:01:00+01:00","by":["user","unit"],"notes":[],"rows":[{"from":"2026-11-04T00:00:00+01:00","to":"2026-11-05T00:00:00+01:00","uid":1001,"user":"bob","unit":null,"program":null,"sent_bytes":1,"received_bytes":2,"total_bytes":3}],"total":{"sent_bytes":1,"received_bytes":2,"total_bytes":3},"gaps":{"count":0,"total_us":0,"list":[]}}"#;
    assert_eq!(case.printed(&[&args[..], &["--format=json"]].concat()), format!("{json}\n"));
    let csv = "record,from,to,uid,user,unit,program,class,account,others,sent_bytes,received_bytes,total_bytes,cause\r\n\
               row,2026-11-04T00:00:00+01:00,2026-11-05T00:00:00+01:00,1001,bob,,,,,,1,2,3,\r\n\
               total,2026-11-04T00:00:00+01:00,2026-11-05T00:00:00+01:00,,,,,,,,1,2,3,\r\n\
               zone,2026-11-04T00:00:00+01:00,2026-11-05T00:00:00+01:00,,,,,,,,,,,Europe/Berlin\r\n\
               gap,2026-11-04T11:01:00+01:00,2026-11-05T00:00:00+01:00,,,,,,,,,,,no report covers this time yet\r\n";
    assert_eq!(case.printed(&[&args[..], &["--format=csv"]].concat()), csv);
}

#[test]
fn classes_are_told_apart_and_those_that_are_not_billed_are_left_out() {
    let case = Case::new();
    let mut book = open(&case.book());
    let in_class = |class: &str, sent| {
        let Moved { account, bytes } = moved(1000, "ada", sent, 0);
        Moved { account: AccountKey { class: Some(class.into()), ..account }, bytes }
    };
    let both = vec![in_class("lan", 100), in_class("internet", 20)];
    book.commit(&commit(1, "2026-11-05T10:01:00Z", both)).unwrap();
    drop(book);
    let config = case.folder.path().join("config.toml");
    let class = "[[class]]\nname = 'lan'\nnetworks = ['10.0.0.0/8']\nbilled = false\n";
    std::fs::write(&config, format!("{class}[book]\npath = {:?}\n", case.book())).unwrap();
    let config = format!("--config={}", config.display());
    let day = ["--day=2026-11-05", "--format=csv", "--by=user,class", &config];
    let rows = |more: &[&str]| {
        let shown = case.printed(&[&day[..], more].concat());
        shown
            .lines()
            .filter(|line| line.starts_with("row,"))
            .map(|line| line.split(',').skip(4).take(7).collect::<Vec<_>>().join(","))
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(&[]), ["ada,,,lan,,,100", "ada,,,internet,,,20"]);
    assert_eq!(rows(&["--class=internet"]), ["ada,,,internet,,,20"]);
    assert_eq!(rows(&["--billed"]), ["ada,,,internet,,,20"]);
    let note = case.printed(&["--day=2026-11-05", &config, "--billed"]);
    assert!(note.contains("Without what is not billed: lan. What was counted without a class is billed"), "{note}");
    let refused = case.command(&["--billed", "--config=/dev/null"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(78));
    assert!(stderr(&refused).contains("no [[class]] with billed = false"), "{}", stderr(&refused));
}

/// A tip is given where it helps: what is not billed, and quotas, are in the configuration alone.
#[test]
fn that_a_named_book_needs_no_configuration_is_said_where_it_is_true() {
    let case = Case::new();
    let tip = "--book PATH needs no configuration";
    let told = |command: &str, args: &[&str]| {
        let output = trafcalc(&[command, "--config=/nonexistent.toml"]).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(78));
        stderr(&output)
    };
    let book = format!("--book={}", case.book().display());
    assert!(told("report", &[]).contains(tip));
    assert!(told("close", &["--month=last"]).contains(tip));
    for (command, args) in [
        ("report", &["--billed"][..]),
        ("report", &["--billed", &book]),
        ("report", &[&book]),
        ("quota", &[]),
        ("quota", &[&book]),
    ] {
        let told = told(command, args);
        assert!(!told.contains(tip) && told.contains("/nonexistent.toml"), "{command} {args:?}: {told}");
    }
}

/// Lengths and moments at the ends of the calendar, and beyond it.
#[test]
fn no_period_is_too_long_to_be_answered_or_refused() {
    let case = Case::new();
    for (is_answered, period) in [
        (true, &["--last=300000000000y"][..]),
        (true, &["--last=580000000000y"]),
        (false, &["--last=600000000000y"]),
        (true, &["--last=100y", "--each=day"]),
        (true, &["--since=0000-01-01"]),
        (true, &["--since=-009999-01-02T02:00:00Z", "--each=month"]),
        (true, &["--from=0000-01-01", "--to=9999-12-30", "--each=month"]),
        (true, &["--from=0000-01-01", "--to=9999-12-30", "--each=hour", "--percentile=95"]),
        (false, &["--from=9999-12-31", "--to=9999-12-31 23:59:59"]),
        (false, &["--since=9999-12-31"]),
        (false, &["--day=9999-12-31"]),
        (true, &["--day=9999-12-29"]),
        (true, &["--month=9999-11"]),
        (true, &["--month=0000-01", "--billing-day=28"]),
        (true, &["--from=0000-01-01", "--to=9999-12-30", "--zone=Pacific/Kiritimati"]),
    ] {
        let output = case.command(period).args(["--format=csv"]).output().unwrap();
        let code = output.status.code();
        assert!(code == Some(if is_answered { 0 } else { 64 }), "{period:?}: {code:?}, {}", stderr(&output));
    }
    let all = case.printed(&["--last=300000000000y", "--format=csv"]);
    assert!(all.lines().any(|line| line.contains("1970-01-01T01:00:00+01:00")), "{all}");
}

#[test]
fn a_drawing_is_written_beside_the_answer() {
    let case = Case::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let drawing = elsewhere.path().join("month.svg");
    for args in [&["--month=2026-11"][..], &["--month=2026-11", "--each=day", "--format=json"]] {
        let with = [args, &["--svg", drawing.to_str().unwrap()]].concat();
        assert_eq!(case.printed(&with), case.printed(args));
        let drawn = fs::read_to_string(&drawing).unwrap();
        assert!(drawn.starts_with("<svg ") && drawn.contains("ada") && drawn.contains("1 gap"), "{drawn}");
    }
    let output = case.command(&["--svg=/nonexistent/month.svg"]).output().unwrap();
    assert_eq!(output.status.code(), Some(74));
    assert!(stderr(&output).contains("/nonexistent/month.svg: the drawing cannot be written"), "{}", stderr(&output));
}

#[test]
fn a_book_that_is_written_can_be_asked() {
    let case = Case::new();
    let mut book = open(&case.book());
    book.commit(&commit(1, "2026-11-05T10:01:00Z", vec![moved(1001, "bob", 30, 40)])).unwrap();
    let told = case.printed(&["--day=2026-11-05", "--bytes", "--user=bob"]);
    assert!(told.contains("bob      30        40     70\n"), "{told}");
    drop(book);
}

#[test]
fn a_period_may_end_now() {
    let case = Case::new();
    for args in [&[][..], &["--last=30d"], &["--since=yesterday"], &["--since", "yesterday 22:00"], &["--day=today"]] {
        let told = case.printed(args);
        assert!(told.contains("(Europe/Berlin)") && told.contains("\ntotal "), "{args:?}: {told}");
    }
}

#[test]
fn a_user_of_the_host_without_traffic_has_none() {
    let case = Case::new();
    for user in ["root", "0"] {
        let told = case.printed(&["--day=2026-11-05", "--user", user]);
        assert!(told.contains(&format!("\n{user} has no traffic in this book.\n")), "{told}");
        assert!(told.contains("\ntotal   0 B       0 B    0 B\n"), "{told}");
    }
    let json = case.printed(&["--day=2026-11-05", "--user=root", "--format=json"]);
    assert!(json.contains("\"rows\":[]") && json.contains("\"sent_bytes\":0"), "{json}");
    // Beside one who has some.
    let told = case.printed(&["--month=2026-11", "--user=root,ada", "--bytes"]);
    assert!(told.contains("\nada ") && told.contains("\nroot has no traffic"), "{told}");
}

#[test]
fn a_question_that_makes_no_sense_is_named() {
    let case = Case::new();
    for (args, told) in [
        (&["--user=adda"][..], r#"there is no user "adda" in the book; did you mean "ada"?"#),
        (&["--unit=nginx.service"], r#"there is no unit "nginx.service" in the book: it has what moved"#),
        (&["--day=soon"], "'--day <DAY>': \"soon\" is not a day: today, yesterday, or a date"),
        (&["--month=2026"], "'--month <MONTH>': \"2026\" is not a month: this, last, or one such as 2026-11"),
        (&["--from=tea", "--to=now"], "'--from <MOMENT>': \"tea\" is not a moment: now, a day"),
        (&["--from=2026-11-03"], "--to <MOMENT>"),
        (&["--day=today", "--last=1d"], "'--day <DAY>' cannot be used with '--last <TIME>'"),
        (&["--estimate", "--each=day"], "'--estimate' cannot be used with '--each <PART>'"),
        (&["--last=soon"], "'--last <TIME>'"),
        (
            &["--last=month"],
            "\"month\" is not a length of time such as 30d or 12h; the month that is over is --month last",
        ),
        (&["--last=week"], "the last seven days are --last 7d"),
        (&["--last=days"], "the day that is over is --day yesterday"),
        (&["--from=2026-11-03", "--to=2026-11-02"], "is empty; --to must be later than --from"),
        (&["--zone=Etc/Unknown"], "'--zone <ZONE>': \"Etc/Unknown\" is no time zone such as Europe/Vienna"),
        (&["--zone=Mars"], "'--zone <ZONE>': \"Mars\" is no time zone such as Europe/Vienna"),
        (&["--billing-day=29"], "'--billing-day <DAY>'"),
        (&["--percentile=100"], "'--percentile <PERCENT>'"),
        (&["--top=0"], "'--top <N>'"),
        (&["--by=colour"], "'--by <WHAT>'"),
        (&["--day=2026-11-03", "--estimate"], "--estimate is for a period that has begun and is not over"),
    ] {
        expect(64, told, &case.command(args).output().unwrap());
    }
}

#[test]
fn what_the_book_has_not_is_told_with_what_can_be_asked() {
    let case = Case::new();
    let mut book = open(&case.book());
    book.commit(&commit(1, "2026-12-31T10:01:00Z", vec![moved(1001, "bob", 30, 40)])).unwrap();
    for _ in 0..9 {
        book.trim(time("2026-12-31T10:01:00Z")).unwrap();
    }
    let told = "the book cannot answer from 2026-11-03 10:55 to 2026-11-03 11:00: this needs rows of five minutes, and it \
                has these only from 2026-11-26 12:01 on; ask for a period that begins and ends with whole hours";
    let period = ["--from=2026-11-03 10:55", "--to=2026-11-03 11:00"];
    expect(69, told, &case.command(&period).output().unwrap());
    case.printed(&["--from=2026-11-03 10:00", "--to=2026-11-03 11:00"]);
}

#[test]
fn a_book_that_cannot_be_read_is_named() {
    let case = Case::new();
    fs::set_permissions(case.book(), Permissions::from_mode(0o000)).unwrap();
    expect(77, "may not be read by this user", &run_without(&OVERRIDES, case.command(&[])));
    fs::set_permissions(case.book(), Permissions::from_mode(0o640)).unwrap();
    for end in ["-wal", "-shm"] {
        fs::remove_file(format!("{}{end}", case.book().display())).unwrap();
    }
    fs::set_permissions(case.folder.path(), Permissions::from_mode(0o555)).unwrap();
    expect(77, "cannot be read without its -wal and -shm files", &run_without(&OVERRIDES, case.command(&[])));
    fs::set_permissions(case.folder.path(), Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(case.book()).unwrap();
    fs::create_dir(case.book()).unwrap();
    expect(69, "is a directory", &case.command(&[]).output().unwrap());
    fs::remove_dir(case.book()).unwrap();
    expect(69, "there is no book ", &case.command(&[]).output().unwrap());
    fs::write(case.book(), "").unwrap();
    expect(69, "is empty: the service that begins it has not written it yet", &case.command(&[]).output().unwrap());
    fs::write(case.book(), "no book\n".repeat(1_000)).unwrap();
    expect(78, "is no book, and not even a database", &case.command(&[]).output().unwrap());
}

#[test]
fn what_is_no_book_of_this_version_is_named() {
    let case = Case::new();
    let change = |name, value: i64| {
        let book = rusqlite::Connection::open(case.book()).unwrap();
        book.pragma_update(None, name, value).unwrap();
    };
    change("user_version", 99);
    expect(78, "has schema 99, and this trafcalc knows schemas up to 1", &case.command(&[]).output().unwrap());
    change("application_id", 7);
    expect(78, "is a database of another program", &case.command(&[]).output().unwrap());
}

#[test]
fn the_configuration_says_where_the_book_is() {
    let case = Case::new();
    let config = case.folder.path().join("config.toml");
    let ask = || trafcalc(&["report", "--day=2026-11-04", "--config"]).arg(&config).output().unwrap();
    fs::write(&config, format!("[book]\npath = {:?}\n", case.book())).unwrap();
    assert!(String::from_utf8(ask().stdout).unwrap().contains("bob"));
    fs::write(&config, "[book]\npath = 'none'\n").unwrap();
    expect(78, "says that no book is kept; name one with --book", &ask());
    fs::write(&config, "colour = 1\n").unwrap();
    expect(78, "unknown field `colour`", &ask());
}
