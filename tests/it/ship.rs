//! `trafcalc ship`: what a database has when commands fail, rows are repeated, and state is lost.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use trafcalc::book::{AccountKey, AccountKind, Book, Commit, Gap, Moved, Opening};
use trafcalc::capture::{Bytes, OpenNotes};

use super::support::{stderr, trafcalc};

mod databases;

fn time(text: &str) -> SystemTime {
    text.parse::<Timestamp>().unwrap().try_into().unwrap()
}

fn user(uid: u32, name: Option<&str>) -> AccountKey {
    let (kind, uid, user) = (AccountKind::User, Some(uid), name.map(str::to_owned));
    AccountKey { kind, uid, user, program: None, unit: None, class: None }
}

/// Bytes of users by host, day and name: sent and received.
type Sums = BTreeMap<(String, String, String), (i64, i64)>;

/// A host of Berlin with a book, and a command that keeps what it gets.
struct Host {
    id: &'static str,
    folder: tempfile::TempDir,
    book: Option<Book>,
    seq: u64,
    truth: Sums,
}

impl Host {
    fn new(id: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut host = Self { id, folder, book: None, seq: 0, truth: Sums::new() };
        host.command("cat > \"$(dirname \"$0\")/rows.$(date +%s%N)\"");
        host.begin("2026-10-01T00:00:00Z");
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The script that rows are handed to.
    fn command(&self, script: &str) {
        fs::write(self.path("command"), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(self.path("command"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Another life of the service.
    fn begin(&mut self, now: &str) {
        self.book = None;
        let (path, now) = (self.path("book.db"), time(now));
        let (zone, settings) = (TimeZone::get("Europe/Berlin").unwrap(), "{}");
        let opening =
            Opening { path: &path, zone, billing_day: 1, boot_id: "boot", version: "0", settings, sinks: &[], now };
        self.book = Some(Book::open(&opening).unwrap().0);
    }

    /// A report of one minute; `day` is the one in Berlin.
    fn moved(&mut self, end: &str, day: &str, account: &AccountKey, sent: u64, received: u64) {
        self.moved_after(end, day, account, (sent, received), Vec::new());
    }

    fn moved_after(&mut self, end: &str, day: &str, account: &AccountKey, bytes: (u64, u64), gaps: Vec<Gap>) {
        let (sent, received) = bytes;
        self.commit(end, vec![Moved { account: account.clone(), bytes: Bytes { sent, received } }], gaps);
        let name = account.user.clone().unwrap_or_else(|| account.uid.map_or("-".to_owned(), |uid| uid.to_string()));
        self.add(day, name, i64::try_from(sent).unwrap(), i64::try_from(received).unwrap());
    }

    fn commit(&mut self, end: &str, moved: Vec<Moved>, gaps: Vec<Gap>) {
        self.seq += 1;
        let (minute, end) = (Duration::from_mins(1), time(end));
        let commit = Commit {
            seq: self.seq,
            start: end - minute,
            end,
            monotonic: minute,
            moved,
            baseline: None,
            health: "{}".to_owned(),
            records: None,
            gaps,
            open: OpenNotes::default(),
            ended: false,
        };
        self.book.as_mut().unwrap().commit(&commit).unwrap();
    }

    fn add(&mut self, day: &str, name: String, sent: i64, received: i64) {
        let sums = self.truth.entry((self.id.to_owned(), day.to_owned(), name)).or_default();
        *sums = (sums.0 + sent, sums.1 + received);
    }

    fn correct(&mut self, name: &str, day: &str, sent: i64) {
        let mut correct = trafcalc(&["correct", "--reason=test", "--user", name, "--day", day]);
        let output = correct.arg(format!("--sent={sent}")).arg("--book").arg(self.path("book.db")).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        self.add(day, name.to_owned(), sent, 0);
    }

    fn ship(&self, arguments: &[&str]) -> Output {
        let mut ship = trafcalc(&["ship", "--once", "--host", self.id]);
        ship.arg("--exec").arg(self.path("command")).arg("--state").arg(self.path("state"));
        ship.arg("--book").arg(self.path("book.db")).args(arguments).output().unwrap()
    }

    #[track_caller]
    fn must_ship(&self) {
        let output = self.ship(&[]);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    }

    /// The batches that the command got, in order.
    fn batches(&self) -> Vec<Vec<Value>> {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let is_batch = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("rows.");
        let mut files: Vec<_> = files.filter(is_batch).collect();
        files.sort();
        let rows = |path: &PathBuf| {
            let text = fs::read_to_string(path).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        files.iter().map(rows).collect()
    }
}

/// What a database has that got these batches: of rows with the same key, the one with the highest revision.
fn merged<'a>(batches: impl IntoIterator<Item = &'a Vec<Value>>) -> Vec<Value> {
    let mut rows = BTreeMap::<String, Value>::new();
    for row in batches.into_iter().flatten() {
        let key = ["host", "book", "type", "id", "from"].map(|name| row[name].to_string()).join(" ");
        let known = rows.entry(key).or_insert_with(|| row.clone());
        if row["revision"].as_u64() > known["revision"].as_u64() {
            *known = row.clone();
        }
    }
    rows.into_values().collect()
}

fn sums(rows: &[Value]) -> Sums {
    let mut sums = Sums::new();
    for row in rows.iter().filter(|row| row["type"] == "hour" || row["type"] == "correction") {
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let name = text("user").or(row["uid"].as_u64().map(|uid| uid.to_string())).or(text("account")).unwrap();
        let sum = sums.entry((text("host").unwrap(), text("day").unwrap(), name)).or_default();
        let bytes = ["sent_bytes", "received_bytes"].map(|name| row[name].as_i64().unwrap());
        *sum = (sum.0 + bytes[0], sum.1 + bytes[1]);
    }
    sums
}

/// Two days with a restart between them, and three batches.
fn shipped_in_three_batches(id: &'static str) -> Host {
    let mut host = Host::new(id);
    let (ada, bob) = (user(1000, Some("ada")), user(1001, Some("bob")));
    host.moved("2026-10-24T21:30:00Z", "2026-10-24", &ada, 5_000, 100);
    // Half past midnight in Berlin.
    host.moved("2026-10-24T22:30:00Z", "2026-10-25", &bob, 40, 7);
    host.must_ship();
    // The same hour, and the hour that comes twice at the end of summer time.
    host.moved("2026-10-24T22:31:00Z", "2026-10-25", &bob, 2, 0);
    host.moved("2026-10-25T00:30:00Z", "2026-10-25", &ada, 300, 0);
    host.moved("2026-10-25T01:30:00Z", "2026-10-25", &ada, 30, 0);
    host.must_ship();
    host.begin("2026-10-25T01:40:00Z");
    let gap = Gap { from: time("2026-10-25T01:30:00Z"), to: time("2026-10-25T01:40:00Z"), cause: "test".to_owned() };
    host.moved_after("2026-10-25T01:41:00Z", "2026-10-25", &ada, (3, 1 << 53), vec![gap]);
    host.correct("ada", "2026-10-24", -1_000);
    host.must_ship();
    host
}

#[test]
fn rows_have_every_byte_in_whichever_order_and_however_often_they_come() {
    let host = shipped_in_three_batches("a");
    let batches = host.batches();
    assert_eq!(batches.len(), 3);
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let twice = order.iter().chain(&order).map(|at| &batches[*at]);
        let rows = merged(twice);
        assert_eq!(sums(&rows), host.truth, "{order:?}");
        let gaps: Vec<_> = rows.iter().filter(|row| row["type"] == "gap").collect();
        assert!(
            gaps.iter().any(|gap| gap["from"] == "2026-10-25T01:30:00.000000Z" && gap["cause"] == "test"),
            "{gaps:?}"
        );
    }
    host.must_ship();
    assert_eq!(host.batches().len(), 3, "nothing is new");
    let until: Vec<_> = merged(&batches).into_iter().filter(|row| row["type"] == "host").collect();
    assert_eq!(until.len(), 1);
    assert_eq!(until[0]["to"], "2026-10-25T01:41:00.000000Z");
}

#[test]
fn rows_that_are_not_accepted_come_again_with_what_is_new_by_then() {
    let mut host = Host::new("a");
    let ada = user(1000, Some("ada"));
    host.moved("2026-10-05T10:00:00Z", "2026-10-05", &ada, 1, 0);
    host.must_ship();
    host.moved("2026-10-05T10:01:00Z", "2026-10-05", &ada, 20, 0);
    for (script, told) in [
        ("exit 3", "exit status: 3"),
        ("head -c 10 > /dev/null; kill -9 $$", "signal: 9"),
        ("cat > /dev/null; exit 1", "has not accepted the rows"),
    ] {
        host.command(script);
        let output = host.ship(&[]);
        assert_eq!(output.status.code(), Some(74), "{script}");
        assert!(stderr(&output).contains(told), "{script}: {}", stderr(&output));
    }
    host.moved("2026-10-05T12:00:00Z", "2026-10-05", &ada, 300, 0);
    host.command("cat > \"$(dirname \"$0\")/rows.$(date +%s%N)\"");
    host.must_ship();
    let batches = host.batches();
    assert_eq!((batches.len(), sums(&merged(&batches))), (2, host.truth.clone()));
    let left: Vec<_> = fs::read_dir(host.path("state")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("rows")), "{left:?}");
}

#[test]
fn a_lost_or_damaged_state_costs_a_repetition_and_no_byte() {
    let mut host = shipped_in_three_batches("a");
    fs::remove_dir_all(host.path("state")).unwrap();
    host.moved("2026-10-25T02:00:00Z", "2026-10-25", &user(1001, Some("bob")), 9, 9);
    host.must_ship();
    let batches = host.batches();
    assert_eq!(sums(&merged(&batches)), host.truth);
    assert_eq!(sums(&merged(&batches[3..])), host.truth, "the last batch has everything");
    fs::write(host.path("state/state.json"), "{\"accepted\"").unwrap();
    let output = host.ship(&[]);
    assert!(output.status.success() && stderr(&output).contains("everything is shipped again"), "{}", stderr(&output));
    let batches = host.batches();
    assert_eq!(sums(&merged(&batches[4..])), host.truth);
    assert_eq!(sums(&merged(batches.iter().rev())), host.truth);
}

#[test]
fn a_book_that_was_replaced_by_an_older_copy_is_refused() {
    let mut host = Host::new("a");
    let ada = user(1000, Some("ada"));
    host.moved("2026-10-05T10:00:00Z", "2026-10-05", &ada, 1, 0);
    let copy = host.path("copy.db");
    let mut backup = trafcalc(&["history", "backup", copy.to_str().unwrap(), "--book"]);
    assert!(backup.arg(host.path("book.db")).output().unwrap().status.success());
    host.moved("2026-10-05T10:01:00Z", "2026-10-05", &ada, 1, 0);
    host.must_ship();
    host.book = None;
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(host.path(&format!("book.db{end}")));
    }
    fs::rename(&copy, host.path("book.db")).unwrap();
    let output = host.ship(&[]);
    assert_eq!(output.status.code(), Some(69));
    assert!(stderr(&output).contains("an older copy has taken its place"), "{}", stderr(&output));
    // It is the same when the service has gone on with it.
    host.begin("2026-10-05T12:00:00Z");
    host.moved("2026-10-05T12:05:00Z", "2026-10-05", &ada, 1, 0);
    host.moved("2026-10-05T12:06:00Z", "2026-10-05", &ada, 1, 0);
    assert_eq!(host.ship(&[]).status.code(), Some(69));
}

#[test]
fn a_clock_that_was_ahead_or_is_set_back_hides_no_hour() {
    let mut host = Host::new("a");
    let ada = user(1000, Some("ada"));
    // The book was begun on 1 October. It is 1970 at first, then 2031.
    host.moved("1970-01-01T10:00:00Z", "1970-01-01", &ada, 7, 0);
    host.moved("2031-05-05T10:00:00Z", "2031-05-05", &ada, 1, 0);
    host.must_ship();
    host.moved("2026-09-29T10:00:00Z", "2026-09-29", &ada, 20, 0);
    host.moved("2026-10-05T10:00:00Z", "2026-10-05", &ada, 300, 0);
    host.must_ship();
    let batches = host.batches();
    assert_eq!(sums(&merged(&batches)), host.truth);
    let hours = batches[1].iter().filter(|row| row["type"] == "hour").count();
    assert_eq!(hours, 2, "only what is new");
}

#[test]
fn a_new_book_of_a_host_adds_to_its_former_one() {
    let mut host = shipped_in_three_batches("a");
    host.book = None;
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(host.path(&format!("book.db{end}")));
    }
    host.begin("2026-10-25T02:00:00Z");
    host.moved("2026-10-25T02:02:00Z", "2026-10-25", &user(1002, Some("eve")), 77, 0);
    host.must_ship();
    assert_eq!(sums(&merged(&host.batches())), host.truth);
}

#[test]
fn an_imported_log_is_not_shipped_because_a_former_book_may_have_its_bytes() {
    let host = shipped_in_three_batches("a");
    let log = host.path("traffic.1");
    let record = |kind: &str, of: &str| {
        format!(
            "{{\"type\":\"{kind}\",\"time\":\"2026-09-20T00:00:10.000Z\",\"epoch\":1758300000000,\"seq\":1,\
             \"interval_s\":10.0{of},\"sent_bytes\":100,\"received_bytes\":0}}\n"
        )
    };
    fs::write(&log, record("account", ",\"uid\":1000,\"user\":\"ada\"") + &record("summary", "")).unwrap();
    let mut import = trafcalc(&["history", "import-log", log.to_str().unwrap(), "--book"]);
    let output = import.arg(host.path("book.db")).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    fs::remove_dir_all(host.path("state")).unwrap();
    host.must_ship();
    assert_eq!(sums(&merged(&host.batches())), host.truth);
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let host = Host::new("a");
    let refused = |code: i32, told: &str, arguments: &[&str]| {
        let mut ship = trafcalc(&["ship", "--once", "--state"]);
        let output = ship.arg(host.path("state")).args(arguments).output().unwrap();
        assert!(stderr(&output).contains(told), "{told:?} is not in {:?}", stderr(&output));
        assert_eq!(output.status.code(), Some(code));
    };
    let book = host.path("book.db").display().to_string();
    refused(64, "is no executable file", &["--exec=/nowhere/x", "--book", &book]);
    refused(69, "there is no book", &["--exec=/bin/true", "--book=/nowhere/book.db"]);
    refused(64, "required", &["--book", &book]);
    let fifo = host.path("fifo").display().to_string();
    nix::unistd::mkfifo(&host.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused(69, "not a regular file", &["--exec=/bin/true", "--book", &fifo]);
    refused(64, "not between", &["--exec=/bin/true", "--book", &book, "--every=0s"]);
    refused(64, "--host", &["--exec=/bin/true", "--book", &book, "--host="]);
    fs::set_permissions(host.path("state"), fs::Permissions::from_mode(0o777)).unwrap();
    refused(74, "other users may write to it", &["--exec=/bin/true", "--book", &book]);
    fs::set_permissions(host.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
    let lock = fs::File::options().create(true).append(true).open(host.path("state/lock")).unwrap();
    lock.lock().unwrap();
    refused(69, "another process ships", &["--exec=/bin/true", "--book", &book]);
}

#[test]
fn names_arrive_as_they_are() {
    let mut host = Host::new("a");
    for (uid, name) in (2_000..).zip(HOSTILE) {
        host.moved("2026-10-05T10:00:00Z", "2026-10-05", &user(uid, Some(name)), 1, 2);
    }
    let nobody = AccountKey { kind: AccountKind::Other, ..user(0, None) };
    let nobody = AccountKey { uid: None, ..nobody };
    host.moved("2026-10-05T10:01:00Z", "2026-10-05", &nobody, 5, 5);
    host.must_ship();
    let rows = merged(&host.batches());
    let names: Vec<_> = rows.iter().filter_map(|row| row["user"].as_str()).collect();
    let mut expected = HOSTILE.to_vec();
    let mut found = names.clone();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert!(rows.iter().any(|row| row["account"] == "(other)" && row["sent_bytes"] == 5));
}

/// Names that break formats which are not read and written with care.
const HOSTILE: [&str; 8] =
    ["a'b", "a\"b\\", "a\nb\t", "\u{2028}\u{85}", "$(id);--", "\u{1}\u{2}", "=1+1,2", "\u{fffd}é"];

#[test]
fn a_book_of_many_hours_comes_in_several_batches_that_are_resumed() {
    let mut host = Host::new("a");
    // More than 100,000 rows: 1,500 users in 80 hours of two weeks.
    let hours: Vec<_> = (0..80).map(|hour| format!("2026-10-{:02}T{:02}:30:00Z", 2 + hour / 6, 6 + hour % 6)).collect();
    for end in &hours {
        let users =
            (0..1_500).map(|uid| Moved { account: user(10_000 + uid, None), bytes: Bytes { sent: 3, received: 1 } });
        host.commit(end, users.collect(), Vec::new());
    }
    // It accepts one batch of each run.
    host.command(
        "folder=$(dirname \"$0\"); [ -e \"$folder/once\" ] && rm \"$folder/once\" && exit 1; touch \"$folder/once\"; \
         cat > \"$folder/rows.$(date +%s%N)\"",
    );
    assert_eq!(host.ship(&[]).status.code(), Some(74));
    // A report between two batches, in an hour of the first one.
    host.moved("2026-10-02T06:31:00Z", "2026-10-02", &user(10_000, None), 7, 0);
    assert_eq!(host.ship(&[]).status.code(), Some(0));
    assert_eq!(host.ship(&[]).status.code(), Some(74), "the report is new");
    assert_eq!(host.ship(&[]).status.code(), Some(0));
    let batches = host.batches();
    assert!(batches[0].len() >= 100_000 && batches[0].len() < 120_000, "{}", batches[0].len());
    let rows = merged(&batches);
    let hours = rows.iter().filter(|row| row["type"] == "hour");
    let total: i64 = hours.map(|row| row["sent_bytes"].as_i64().unwrap()).sum();
    assert_eq!(total, 80 * 1_500 * 3 + 7);
}
