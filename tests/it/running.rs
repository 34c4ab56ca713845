//! The running service as its administrator and systemd see it. The packet backend counts, nobody makes traffic.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::support::{can_capture, leave_out, stderr, trafcalc};

/// Longest anything here may take, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(20);

/// A service that writes to a log in a folder of its own and reports only when asked.
struct Service {
    child: Child,
    folder: tempfile::TempDir,
    systemd: UnixDatagram,
}

impl Service {
    fn start() -> Self {
        Self::start_by(trafcalc(&[]))
    }

    /// The same by a command that calls the program.
    fn start_by(mut program: Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&socket).unwrap();
        systemd.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = program
            .args(["run", "--book=none", "--backend=packet", "--interval=1d", "--format=json"])
            .arg("--log")
            .arg(folder.path().join("log"))
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "100000")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let service = Self { child, folder, systemd };
        service.tells_systemd("READY=1");
        service
    }

    /// Waits until systemd is told `state`.
    fn tells_systemd(&self, state: &str) {
        let start = Instant::now();
        let mut buffer = [0; 4096];
        while start.elapsed() < PATIENCE {
            let length = self.systemd.recv(&mut buffer).unwrap_or_else(|error| panic!("no {state}: {error}"));
            if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == state) {
                return;
            }
        }
        panic!("systemd is never told {state}");
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Asks it to end; gives what it leaves in the folder's `log`.
    fn stop(mut self, signal: Signal) -> Vec<serde_json::Value> {
        self.signal(signal);
        self.tells_systemd("STOPPING=1");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        records(&self.path("log"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Only a test that fails finds it alive.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn records(log: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("every line is a whole record")).collect()
}

fn wait_for_record(log: &Path) {
    let start = Instant::now();
    while records(log).is_empty() {
        assert!(start.elapsed() < PATIENCE, "nothing is written to {}", log.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_reports_when_asked_and_at_its_end() {
    if !can_capture("it_reports_when_asked_and_at_its_end") {
        return;
    }
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let service = Service::start();
        service.signal(Signal::SIGUSR1);
        wait_for_record(&service.path("log"));
        let records = service.stop(signal);
        assert!(records.iter().filter(|record| record["type"] == "summary").count() == 2, "{records:?}");
        assert_eq!(records.last().unwrap()["backend"], "packet");
    }
}

#[test]
fn signals_that_the_parent_blocked_are_heeded() {
    const TEST: &str = "signals_that_the_parent_blocked_are_heeded";
    if !can_capture(TEST) {
        return;
    }
    // Of coreutils 8.31 and later.
    let blocking = || {
        let mut env = Command::new("env");
        env.arg("--block-signal");
        env
    };
    if !blocking().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return leave_out(TEST, "needs an env that blocks signals");
    }
    let mut command = blocking();
    command.arg(trafcalc(&[]).get_program());
    let service = Service::start_by(command);
    assert!(!service.stop(Signal::SIGTERM).is_empty());
}

#[test]
fn it_follows_a_rotation() {
    if !can_capture("it_follows_a_rotation") {
        return;
    }
    let service = Service::start();
    service.signal(Signal::SIGUSR1);
    wait_for_record(&service.path("log"));
    let rotate = |to: &str| fs::rename(service.path("log"), service.path(to)).unwrap();
    rotate("log.1");
    let rotated = fs::read(service.path("log.1")).unwrap();
    service.signal(Signal::SIGHUP);
    service.signal(Signal::SIGUSR1);
    wait_for_record(&service.path("log"));
    // Nobody says so, and it is seen all the same.
    rotate("log.2");
    service.signal(Signal::SIGUSR1);
    wait_for_record(&service.path("log"));
    let seqs = |name: &str| -> Vec<_> {
        records(&service.path(name)).iter().map(|record| record["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!((seqs("log.1"), seqs("log.2"), seqs("log")), (vec![1], vec![2], vec![3]));
    assert_eq!(fs::read(service.path("log.1")).unwrap(), rotated);
    service.stop(Signal::SIGTERM);
}

#[test]
fn it_tells_systemd_that_it_turns() {
    if !can_capture("it_tells_systemd_that_it_turns") {
        return;
    }
    let service = Service::start();
    service.tells_systemd("WATCHDOG=1");
    service.tells_systemd("WATCHDOG=1");
    service.stop(Signal::SIGTERM);
}

#[test]
fn it_ends_by_itself_after_its_time() {
    if !can_capture("it_ends_by_itself_after_its_time") {
        return;
    }
    let start = Instant::now();
    let output = trafcalc(&["run", "--backend=packet", "--duration=300ms", "--log=-"]).output().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with('\n') && text.lines().last().unwrap().starts_with("type=summary "), "{text}");
}

#[test]
fn it_ends_quietly_when_nobody_reads_any_more() {
    if !can_capture("it_ends_quietly_when_nobody_reads_any_more") {
        return;
    }
    let mut child = trafcalc(&["run", "--backend=packet", "--interval=100ms", "--duration=1m", "--log=-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.ends_with('\n'));
    let start = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(start.elapsed() < PATIENCE);
    assert!(!stderr(&output).contains("ERROR"), "{}", stderr(&output));
}

/// What is not there yet is waited for: with a warning and in the summary.
#[test]
fn it_starts_although_what_is_configured_is_not_there_yet() {
    if !can_capture("it_starts_although_what_is_configured_is_not_there_yet") {
        return;
    }
    let waits = |config: &str, args: &[&str], told: &str, waiting_for: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.toml"), config).unwrap();
        let output = trafcalc(&["run", "--backend=packet", "--interval=100ms", "--duration=350ms", "--format=json"])
            .arg("--config")
            .arg(folder.path().join("config.toml"))
            .arg("--log")
            .arg(folder.path().join("log"))
            .args(args)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let count = stderr(&output).matches(told).count();
        assert_eq!(count, 1, "{told:?} is not once in {:?}", stderr(&output));
        let records = records(&folder.path().join("log"));
        assert_eq!(records.last().unwrap()["waiting_for"], serde_json::json!([waiting_for]));
        assert!(records.iter().all(|record| record["type"] == "summary"), "nobody else is counted: {records:?}");
    };
    let user = ("waits for the user \"no-such-user\"", "user no-such-user");
    waits("[only]\nusers = ['no-such-user']\n", &[], user.0, user.1);
    waits("", &["--user=no-such-user", "--later"], user.0, user.1);
    let unit = ("there is no unit or cgroup \"no-such.service\" yet", "unit no-such.service");
    waits("[only]\nunits = ['no-such.service']\n", &[], unit.0, unit.1);
    waits("", &["--unit=no-such.service", "--later"], unit.0, unit.1);
    let interface = ("there is no network interface \"no-such-link\" yet", "interface no-such-link");
    waits("[packet]\ninterfaces = ['no-such-link']\n", &[], interface.0, interface.1);
}

#[test]
fn variables_for_tests_are_warned_about() {
    if !can_capture("variables_for_tests_are_warned_about") {
        return;
    }
    let output = trafcalc(&["run", "--backend=packet", "--duration=1ms", "--log=-"])
        .env("TRAFCALC_TEST_DROP_PERCENT", "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("variables for tests are set"), "{}", stderr(&output));
}

#[test]
fn a_last_report_that_cannot_be_written_is_told_instead() {
    if !can_capture("a_last_report_that_cannot_be_written_is_told_instead") {
        return;
    }
    let output = trafcalc(&["run", "--backend=packet", "--duration=1ms", "--log=/dev/full"]).output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(74), "{told}");
    assert!(told.lines().any(|line| line.starts_with("type=summary ")), "{told}");
    assert!(told.contains("the last report is lost: /dev/full: cannot be written: No space left on device"), "{told}");
}
