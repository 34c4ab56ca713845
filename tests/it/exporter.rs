//! `trafcalc exporter`: the answers that clients get, and the values that a real Prometheus reads.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use flate2::read::GzDecoder;
use jiff::tz::TimeZone;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use trafcalc::book::{AccountKey, AccountKind, Book, Commit, Gap, Moved, Opening};
use trafcalc::capture::{Bytes, OpenNotes};

use super::monitoring::{Prometheus, Series, Server, ask, bounded, package, programs};
use super::support::{leave_out, stderr, trafcalc};
use super::victoria_metrics::VictoriaMetrics;

mod cost;
mod otlp;

/// Longest time for anything here, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// 2026-11-26T01:00:00Z.
const BEGIN: Duration = Duration::from_hours(498_793);

pub(super) fn user(uid: u32, name: &str) -> AccountKey {
    let (kind, uid, user) = (AccountKind::User, Some(uid), Some(name.to_owned()));
    AccountKey { kind, uid, user, program: None, unit: None, class: None }
}

/// A folder with a book and a configuration.
pub(super) struct Case {
    folder: tempfile::TempDir,
    book: Option<Book>,
    minutes: u32,
}

impl Case {
    pub(super) fn new() -> Self {
        let mut case = Self { folder: tempfile::tempdir().unwrap(), book: None, minutes: 0 };
        fs::write(case.path("trafcalc.toml"), "[[quota]]\nname = \"all\"\nlimit = \"1kB\"\n").unwrap();
        case.begin_anew();
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Another life of the service.
    fn begin_anew(&mut self) {
        self.book = None;
        let (path, now) = (self.path("book.db"), UNIX_EPOCH + BEGIN + self.minutes * Duration::from_mins(1));
        let (zone, settings) = (TimeZone::UTC, "{}");
        let opening =
            Opening { path: &path, zone, billing_day: 1, boot_id: "boot", version: "0", settings, sinks: &[], now };
        self.book = Some(Book::open(&opening).unwrap().0);
    }

    /// The next report.
    pub(super) fn report(&mut self, moved: &[(AccountKey, u64, u64)]) {
        self.report_with(r#"{"audit_mismatch_total":3}"#, moved);
    }

    fn report_with(&mut self, health: &str, moved: &[(AccountKey, u64, u64)]) {
        let minute = Duration::from_mins(1);
        let start = UNIX_EPOCH + BEGIN + self.minutes * minute;
        self.minutes += 1;
        let moved = moved.iter().map(|(account, sent, received)| Moved {
            account: account.clone(),
            bytes: Bytes { sent: *sent, received: *received },
        });
        let commit = Commit {
            seq: u64::from(self.minutes),
            start,
            end: start + minute,
            monotonic: minute,
            moved: moved.collect(),
            baseline: None,
            health: health.to_owned(),
            records: None,
            gaps: vec![Gap { from: start, to: start + Duration::from_secs(2), cause: "test".to_owned() }],
            open: OpenNotes::default(),
            ended: false,
        };
        self.book.as_mut().unwrap().commit(&commit).unwrap();
    }

    /// Imports a log with one report of this user, of the year before.
    fn import(&self, uid: u32, name: &str) {
        let record = |kind: &str, of: &str| {
            format!(
                "{{\"type\":\"{kind}\",\"time\":\"2025-09-20T00:00:10.000Z\",\"epoch\":1758300000000,\"seq\":1,\
                 \"interval_s\":10.0{of},\"sent_bytes\":100,\"received_bytes\":0}}\n"
            )
        };
        let log = self.path("traffic.1");
        let account = record("account", &format!(",\"uid\":{uid},\"user\":\"{name}\""));
        fs::write(&log, account + &record("summary", "")).unwrap();
        let mut import = trafcalc(&["history", "import-log", log.to_str().unwrap(), "--book"]);
        let output = import.arg(self.path("book.db")).output().unwrap();
        assert!(output.status.success() && output.stdout.starts_with(b"1 reports imported"), "{output:?}");
    }

    pub(super) fn exporter(&self, arguments: &[&str]) -> Server {
        let mut command = bounded(env!("CARGO_BIN_EXE_trafcalc"));
        command.args(["exporter", "--listen", "127.0.0.1:0", "--config"]).arg(self.path("trafcalc.toml"));
        command.arg("--book").arg(self.path("book.db")).args(arguments).env_remove("TRAFCALC_LOG");
        Server::start(&mut command, "metrics are at", "http://").unwrap()
    }
}

fn get(address: SocketAddr, headers: &str) -> (String, Vec<u8>) {
    ask(address, &format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")).unwrap()
}

/// The metrics in the default format.
#[track_caller]
pub(super) fn text(server: &Server) -> String {
    let (header, body) = get(server.address, "");
    assert!(header.starts_with("HTTP/1.1 200 OK\r\n"), "{header}");
    String::from_utf8(body).unwrap()
}

/// promtool accepts a text without remarks.
#[track_caller]
fn is_sound(text: &str, programs: &Path) {
    let mut promtool = Command::new(programs.join("promtool"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty() && output.stdout.is_empty(), "{output:?}");
}

/// Fails unless the series has this value.
#[track_caller]
fn is(text: &str, series: &str, value: &str) {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    assert_eq!(line, Some(value), "{series} in\n{text}");
}

const ADA: &str = r#"trafcalc_sent_bytes_total{uid="1000",user="ada"}"#;
const BOB: &str = r#"trafcalc_sent_bytes_total{uid="1001",user="bob"}"#;

#[test]
fn restarts_of_the_service_and_of_the_exporter_reset_no_total() {
    let mut case = Case::new();
    case.report(&[(user(1000, "ada"), 500, 7), (user(1001, "bob"), 30, 0)]);
    let exporter = case.exporter(&[]);
    let first = text(&exporter);
    is(&first, ADA, "500");
    is(&first, r#"trafcalc_received_bytes_total{uid="1000",user="ada"}"#, "7");
    is(&first, BOB, "30");
    is(&first, "trafcalc_quota_used_ratio{quota=\"all\"}", "0.537");
    is(&first, "trafcalc_gaps_total", "1");
    is(&first, "trafcalc_uncounted_seconds_total", "2");
    is(&first, "trafcalc_audit_mismatch_total", "3");
    is(&first, "trafcalc_last_report_timestamp_seconds", "1795654860");
    // Another life of the service, without traffic of ada and with a new user.
    case.begin_anew();
    let eve = r#"trafcalc_sent_bytes_total{uid="1002",user="eve"}"#;
    case.report(&[(user(1001, "bob"), 4, 0), (user(1002, "eve"), 9, 0)]);
    let begun = text(&exporter);
    is(&begun, ADA, "500");
    is(&begun, BOB, "34");
    is(&begun, eve, "0");
    // The first client has not taken the beginning from the others.
    is(&text(&exporter), eve, "0");
    // A correction must not change a counter.
    let mut correct = trafcalc(&["correct", "--user=ada", "--day=2026-11-26", "--sent=-100", "--reason=test"]);
    let output = correct.arg("--book").arg(case.path("book.db")).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    drop(exporter);
    case.report(&[(user(1002, "eve"), 1, 0)]);
    let next = case.exporter(&[]);
    let last = text(&next);
    is(&last, ADA, "500");
    is(&last, eve, "10");
    is(&last, "trafcalc_quota_used_ratio{quota=\"all\"}", "0.451");
}

#[test]
fn users_beyond_the_limit_are_added_up_and_stay_there() {
    let mut case = Case::new();
    case.report(&[(user(1000, "ada"), 1, 0)]);
    // An account that has no total yet.
    case.import(1005, "old");
    case.report(&[(user(1001, "bob"), 20, 0), (user(1002, "eve"), 300, 0)]);
    let exporter = case.exporter(&["--max-users=2"]);
    let other = r#"trafcalc_sent_bytes_total{user="(other)"}"#;
    let first = text(&exporter);
    is(&first, ADA, "1");
    is(&first, other, "320");
    case.report(&[(user(1005, "old"), 4_000, 0)]);
    let next = text(&exporter);
    is(&next, other, "320");
    assert!(next.contains("old"), "{next}");
    for text in [first, next] {
        is(&text, "trafcalc_accounts_folded", "2");
        assert!(!text.contains("bob"), "{text}");
    }
}

#[test]
fn a_user_with_many_programs_takes_no_series_from_others() {
    let mut case = Case::new();
    let program = |number: u32| AccountKey { program: Some(format!("p{number}").into()), ..user(1000, "ada") };
    case.report(&(0..1_100).map(|number| (program(number), 1, 0)).collect::<Vec<_>>());
    case.report(&[(user(1001, "bob"), 20, 0)]);
    let text = text(&case.exporter(&[]));
    is(&text, BOB, "20");
    is(&text, ADA, "1000");
    is(&text, "trafcalc_accounts_folded", "1000");
    is(&text, r#"trafcalc_sent_bytes_total{uid="1000",user="ada",program="p99"}"#, "1");
    assert!(!text.contains("p100") && !text.contains("user=\"(other)\""), "{text}");
}

#[test]
fn an_imported_log_changes_no_counter() {
    let mut case = Case::new();
    case.report(&[(user(1000, "ada"), 500, 7)]);
    let exporter = case.exporter(&[]);
    text(&exporter);
    case.import(1000, "ada");
    case.report(&[]);
    let text = text(&exporter);
    is(&text, ADA, "500");
    is(&text, "trafcalc_gaps_total", "2");
    is(&text, "trafcalc_uncounted_seconds_total", "4");
}

#[test]
fn the_client_chooses_format_and_compression() {
    let mut case = Case::new();
    case.report(&[(user(1000, "ada"), 500, 7)]);
    let exporter = case.exporter(&[]);
    let (header, body) =
        get(exporter.address, "Accept: application/openmetrics-text; version=1.0.0, text/plain;q=0.5\r\n");
    assert!(
        header.contains("\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{header}"
    );
    let body = String::from_utf8(body).unwrap();
    assert!(body.ends_with("# EOF\n") && body.contains("# TYPE trafcalc_sent_bytes counter\n"), "{body}");
    let (header, body) = get(exporter.address, "Accept-Encoding: gzip\r\n");
    assert!(header.contains("\r\ncontent-encoding: gzip\r\n"), "{header}");
    let mut unpacked = String::new();
    GzDecoder::new(&body[..]).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, text(&exporter));
}

/// The number of open connections of a server.
fn established(address: SocketAddr) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{:04X}", address.port());
    let is_its = |line: &&str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        columns[1].ends_with(&local) && columns[3] == "01"
    };
    table.lines().filter(is_its).count()
}

#[test]
fn slow_and_hostile_clients_do_not_delay_others() {
    let mut case = Case::new();
    case.report(&[(user(1000, "ada"), 500, 7)]);
    let exporter = case.exporter(&[]);
    // More connections than the limit, each with half a request.
    let idle = |_| {
        let mut stream = TcpStream::connect(exporter.address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
        stream
    };
    let idle: Vec<_> = (0..400).map(idle).collect();
    let start = Instant::now();
    is(&text(&exporter), ADA, "500");
    // Prometheus waits for ten seconds. With a second for each of them, this would take longer.
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let held = established(exporter.address);
    assert!(held <= 256 + 1, "{held} connections are held");
    drop(idle);
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "404"),
        // What a browser sends whose user looks at a page of attacker.example, after that name was given this address.
        ("GET /metrics HTTP/1.1\r\nHost: attacker.example:9469\r\n\r\n".to_owned(), "421"),
        ("GET http://attacker.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "421"),
        ("GET /metrics HTTP/1.1\r\nHost: \u{e9}vil.example\r\n\r\n".to_owned(), "421"),
        ("POST /metrics HTTP/1.1\r\nHost: [::1]:9469\r\nContent-Length: 0\r\n\r\n".to_owned(), "405"),
        (format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000)), "431"),
    ] {
        let (header, _) = ask(exporter.address, &request).unwrap();
        assert!(header.starts_with(&format!("HTTP/1.1 {status} ")), "{header}");
    }
    is(&text(&exporter), ADA, "500");
}

#[test]
fn a_burst_of_clients_gets_all_of_its_answers() {
    let mut case = Case::new();
    case.report(&[(user(1000, "ada"), 500, 7)]);
    let exporter = case.exporter(&[]);
    let (address, start) = (exporter.address, Arc::new(Barrier::new(100)));
    let ask = |_| {
        let start = Arc::clone(&start);
        thread::spawn(move || {
            start.wait();
            let (header, body) = get(address, "");
            header.starts_with("HTTP/1.1 200 OK\r\n") && String::from_utf8(body).unwrap().contains(ADA)
        })
    };
    let clients: Vec<_> = (0..100).map(ask).collect();
    for client in clients {
        assert!(client.join().unwrap());
    }
}

#[test]
fn a_client_may_be_slow_while_there_is_room_for_others() {
    let mut case = Case::new();
    case.report(&[(user(1000, "ada"), 500, 7)]);
    let exporter = case.exporter(&[]);
    let mut first = TcpStream::connect(exporter.address).unwrap();
    first.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let _idle: Vec<_> = (0..100).map(|_| TcpStream::connect(exporter.address).unwrap()).collect();
    // Long enough for others to be accepted.
    thread::sleep(Duration::from_millis(100));
    first.write_all(b"Host: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).unwrap();
    is(&answer, ADA, "500");
}

#[test]
fn health_that_is_not_readable_is_no_zeros() {
    let mut case = Case::new();
    case.report(&[(user(1000, "ada"), 500, 7)]);
    let exporter = case.exporter(&[]);
    text(&exporter);
    for health in ["{\"late_connections_total\":", "{\"late_connections_total\":-1}"] {
        case.report_with(health, &[(user(1000, "ada"), 1, 0)]);
        let (header, body) = get(exporter.address, "");
        let body = String::from_utf8(body).unwrap();
        assert!(header.starts_with("HTTP/1.1 503 ") && body.contains("health"), "{header}{body}");
    }
    case.report(&[]);
    is(&text(&exporter), ADA, "502");
}

#[test]
fn a_lack_of_descriptors_is_logged_once() {
    let mut case = Case::new();
    case.report(&[(user(1000, "ada"), 500, 7)]);
    let log = case.path("log");
    let mut command = bounded("sh");
    // The limit leaves room for some connections.
    let script = r#"log=$1; shift; ulimit -n 24; "$@" 2>&1 >/dev/null | tee "$log" >&2"#;
    command.args(["-c", script, "sh"]).arg(&log).arg(env!("CARGO_BIN_EXE_trafcalc"));
    command.args(["exporter", "--listen", "127.0.0.1:0", "--config"]).arg(case.path("trafcalc.toml"));
    command.arg("--book").arg(case.path("book.db")).env_remove("TRAFCALC_LOG");
    let exporter = Server::start(&mut command, "metrics are at", "http://").unwrap();
    let idle: Vec<_> = (0..60).map(|_| TcpStream::connect(exporter.address).unwrap()).collect();
    // It tries again several times in a second.
    thread::sleep(Duration::from_millis(600));
    drop(idle);
    is(&text(&exporter), ADA, "500");
    let text = fs::read_to_string(&log).unwrap();
    assert_eq!(text.matches("accepting").count(), 1, "{text}");
}

#[test]
fn the_exporter_waits_for_a_book_that_does_not_exist_yet() {
    let mut case = Case::new();
    fs::rename(case.path("book.db"), case.path("elsewhere")).unwrap();
    let exporter = case.exporter(&[]);
    let (header, _) = get(exporter.address, "");
    assert!(header.starts_with("HTTP/1.1 503 "), "{header}");
    case.book = None;
    fs::rename(case.path("elsewhere"), case.path("book.db")).unwrap();
    case.begin_anew();
    case.report(&[(user(1000, "ada"), 500, 7)]);
    is(&text(&exporter), ADA, "500");
}

/// A process that is ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// The textfile collector of `node_exporter` reads the file in this folder.
#[track_caller]
fn check_collector(folder: &tempfile::TempDir) {
    const PROGRAM: &str = "prometheus-node-exporter";
    let Ok(programs) = package(PROGRAM, PROGRAM) else {
        return leave_out(
            "a_file_is_rewritten_with_each_report",
            "needs the package prometheus-node-exporter of Debian",
        );
    };
    let mut command = bounded(programs.join(PROGRAM));
    command.args(["--collector.disable-defaults", "--collector.textfile", "--web.listen-address=127.0.0.1:0"]);
    command.arg("--collector.textfile.directory").arg(folder.path());
    let collector = Server::start(&mut command, "Listening on", "address=").unwrap();
    let text = text(&collector);
    is(&text, ADA, "505");
    is(&text, "node_textfile_scrape_error", "0");
}

#[test]
fn a_file_is_rewritten_with_each_report() {
    let mut case = Case::new();
    case.report(&[(user(1000, "ada"), 500, 7)]);
    let file = case.path("trafcalc.prom");
    // Another process that may write to the folder has put a link there.
    let victim = case.path("victim");
    fs::write(&victim, "theirs").unwrap();
    symlink(&victim, case.path("trafcalc.prom.part")).unwrap();
    let mut command = bounded(env!("CARGO_BIN_EXE_trafcalc"));
    command.arg("exporter").arg("--textfile").arg(&file).arg("--config").arg(case.path("trafcalc.toml"));
    let running = Running(command.arg("--book").arg(case.path("book.db")).spawn().unwrap());
    let wait_for = |value: &str| {
        let (line, start) = (format!("{ADA} {value}\n"), Instant::now());
        loop {
            // Readers never see an incomplete file.
            match fs::read_to_string(&file) {
                Ok(text) if text.contains(&line) => return text,
                Ok(text) => assert!(text.contains("trafcalc_build_info"), "{text}"),
                Err(_) => {}
            }
            assert!(start.elapsed() < PATIENCE, "no {line}");
            thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for("500");
    case.report(&[(user(1000, "ada"), 5, 0)]);
    let text = wait_for("505");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "theirs");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644, "another user reads it");
    drop(running);
    check_collector(&case.folder);
    match programs() {
        Ok(programs) => is_sound(&text, programs),
        Err(why) => leave_out("a_file_is_rewritten_with_each_report", why),
    }
}

#[test]
fn errors_at_the_start_have_their_exit_codes() {
    let case = Case::new();
    let run = |arguments: &[&str]| {
        let mut command = bounded(env!("CARGO_BIN_EXE_trafcalc"));
        command.arg("exporter").args(arguments).arg("--book").arg(case.path("book.db"));
        command.arg("--config").arg(case.path("trafcalc.toml")).output().unwrap()
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = run(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
    let output = run(&["--textfile", "/nonexistent/folder/trafcalc.prom"]);
    assert_eq!(output.status.code(), Some(74), "{}", stderr(&output));
    let output = run(&["--listen=127.0.0.1:0", "--textfile=x"]);
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
    fs::write(case.path("trafcalc.toml"), "[book]\npath = \"none\"\n").unwrap();
    let mut command = bounded(env!("CARGO_BIN_EXE_trafcalc"));
    let output = command.args(["exporter", "--config"]).arg(case.path("trafcalc.toml")).output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
}

/// Hostile names. The last one is the result for the name of a program that is not UTF-8.
const HOSTILE: [&str; 9] = [
    "a\"b",
    "back\\slash\\n",
    "line\nend",
    "} 1\nfake_total{x=\"1",
    "sep\u{2028}\u{2029}\u{85}",
    "\u{202e}txt.exe",
    "\u{1b}[2J\r\t",
    "  ",
    "b\u{fffd}d",
];

#[test]
fn hostile_names_are_read_back_by_prometheus_and_its_counters_have_every_byte() {
    const TEST: &str = "hostile_names_are_read_back_by_prometheus_and_its_counters_have_every_byte";
    let programs = match programs() {
        Ok(programs) => programs,
        Err(why) => return leave_out(TEST, why),
    };
    let mut case = Case::new();
    let accounts = HOSTILE.iter().zip(1_u32..).flat_map(|(name, number)| {
        let unit = AccountKey { unit: Some((*name).into()), ..user(2000, "u") };
        let program = AccountKey { program: Some((*name).into()), class: Some((*name).into()), ..user(3000, "p") };
        [(user(1000 + number, name), u64::from(number), 1), (unit, 1, 1), (program, 1, 1)]
    });
    let accounts: Vec<_> = accounts.collect();
    case.report(&accounts);
    let exporter = case.exporter(&[]);
    is_sound(&text(&exporter), programs);
    let copy = VictoriaMetrics::start();
    let address = copy.as_ref().ok().map(VictoriaMetrics::address);
    let prometheus = Prometheus::start(programs, &[("a", exporter.address)], address).unwrap();
    let query = "trafcalc_sent_bytes_total";
    prometheus.series_when(query, |series| series.len() == accounts.len()).unwrap();
    let more: Vec<_> = accounts.iter().map(|(key, sent, _)| (key.clone(), sent * 1_000_000_000_000, 0)).collect();
    case.report(&more);
    let is_last = |values: &Vec<String>| values.last().is_some_and(|value| value.len() > 12);
    let are_last =
        |series: &[Series]| series.len() == accounts.len() && series.iter().all(|(_, values)| is_last(values));
    let grown = |series: Vec<Series>| -> BTreeMap<_, _> {
        let grown = series.into_iter().map(|(labels, values)| {
            let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
            let [first, last] = [values.first(), values.last()].map(|value| value.unwrap().parse::<u64>().unwrap());
            ((label("uid"), label("user"), label("unit"), label("program"), label("class")), last - first)
        });
        grown.collect()
    };
    let text = |part: &Option<Arc<str>>| part.as_deref().unwrap_or_default().to_owned();
    let truth = more.iter().map(|(key, sent, _)| {
        let (uid, user) = (key.uid.unwrap().to_string(), key.user.clone().unwrap());
        ((uid, user, text(&key.unit), text(&key.program), text(&key.class)), *sent)
    });
    let truth: BTreeMap<_, _> = truth.collect();
    assert_eq!(grown(prometheus.series_when(query, are_last).unwrap()), truth);
    match copy {
        Ok(copy) => assert_eq!(grown(copy.series_when(query, are_last).unwrap()), truth, "by remote write"),
        Err(error) => leave_out(TEST, &format!("VictoriaMetrics: {error:#}")),
    }
    // No name can add a series.
    assert!(prometheus.series("fake_total").unwrap().is_empty());
}
