//! Asking a book: what is printed, how it exits, and that nothing changes on the disk.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use trafcalc::book::{AccountKey, AccountKind, Book, Commit, Gap, Moved, Opening};
use trafcalc::capture::Bytes;

use super::support::{OVERRIDES, run_without, stderr, trafcalc};

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
    Book::open(&Opening { path, zone, boot_id: "boot", version: "0.1.0", settings: "{}", sinks: &[], now }).unwrap().0
}

fn moved(uid: u32, user: &str, sent: u64, received: u64) -> Moved {
    let user = Some(user.to_owned());
    let account = AccountKey { kind: AccountKind::User, uid: Some(uid), user, program: None, unit: None };
    Moved { account, bytes: Bytes { sent, received } }
}

fn commit(seq: u64, end: &str, moved: Vec<Moved>) -> Commit {
    let minute = Duration::from_mins(1);
    let (start, end) = (time(end) - minute, time(end));
    let (health, gaps) = ("{}".to_owned(), Vec::new());
    let (baseline, records, open) = (None, None, Vec::new());
    Commit { seq, start, end, monotonic: minute, moved, baseline, health, records, gaps, open, ended: false }
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let case = Self { folder };
        let mut book = open(&case.book());
        let unknown = AccountKey { kind: AccountKind::Unattributed, uid: None, user: None, program: None, unit: None };
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
    let csv = "record,from,to,uid,user,unit,program,account,others,sent_bytes,received_bytes,total_bytes,cause\r\n\
               row,2026-11-04T00:00:00+01:00,2026-11-05T00:00:00+01:00,1001,bob,,,,,1,2,3,\r\n\
               total,2026-11-04T00:00:00+01:00,2026-11-05T00:00:00+01:00,,,,,,,1,2,3,\r\n\
               zone,2026-11-04T00:00:00+01:00,2026-11-05T00:00:00+01:00,,,,,,,,,,Europe/Berlin\r\n\
               gap,2026-11-04T11:01:00+01:00,2026-11-05T00:00:00+01:00,,,,,,,,,,no report tells of this time yet\r\n";
    assert_eq!(case.printed(&[&args[..], &["--format=csv"]].concat()), csv);
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
fn a_question_that_makes_no_sense_is_named() {
    let case = Case::new();
    for (args, told) in [
        (&["--user=adda"][..], r#"there is no user "adda" in the book; did you mean "ada"?"#),
        (&["--unit=nginx.service"], r#"there is no unit "nginx.service" in the book: it has what moved"#),
        (&["--day=soon"], "'--day <DAY>': \"soon\" is not a day: today, yesterday, or a date"),
        (&["--month=2026"], "'--month <YYYY-MM>': \"2026\" is not a month such as 2026-11"),
        (&["--from=tea", "--to=now"], "'--from <MOMENT>': \"tea\" is not a moment: now, a day"),
        (&["--from=2026-11-03"], "--to <MOMENT>"),
        (&["--day=today", "--last=1d"], "'--day <DAY>' cannot be used with '--last <TIME>'"),
        (&["--estimate", "--each=day"], "'--estimate' cannot be used with '--each <PART>'"),
        (&["--last=soon"], "'--last <TIME>'"),
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
    let told = "from 2026-11-03 10:55 to 2026-11-03 11:00 the book cannot tell: this needs rows of five minutes, and it \
                has these from 2026-11-26 12:01 on only; ask for a period that begins and ends with whole hours";
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
