//! Asking a running service for its status: who may, what comes, and that nobody can hold the service up by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use serde_json::Value;

use super::support::{can_capture, leave_out, stderr, trafcalc};

/// Longest anything here may take, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many clients connect at once and never read.
const SILENT_CLIENTS: usize = 1_000;
/// Nobody's number in every distribution.
const NOBODY: u32 = 65_534;

/// A service that tells its status in a folder of its own.
struct Service {
    child: Child,
    folder: tempfile::TempDir,
}

impl Service {
    fn start(interval: &str) -> Self {
        Self::start_with(interval, &[], &[])
    }

    fn start_with(interval: &str, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = trafcalc(&["run", "--backend=packet", "--format=json", "--interval", interval]);
        command.arg("--log").arg(folder.path().join("log"));
        command.arg("--status-socket").arg(folder.path().join("socket")).arg("--reports-socket=");
        let child = command.args(args).envs(variables.iter().copied()).stderr(Stdio::null()).spawn().unwrap();
        let service = Self { child, folder };
        let start = Instant::now();
        while !matches!(service.ask(&["--json"]).status.code(), Some(0 | 1)) {
            assert!(start.elapsed() < PATIENCE, "{}", stderr(&service.ask(&["--json"])));
            std::thread::sleep(Duration::from_millis(5));
        }
        service
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn ask(&self, args: &[&str]) -> Output {
        ask_at(&self.socket(), args)
    }

    fn reports(&self) -> usize {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("summary")).count()
    }

    fn stop(mut self) {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        assert!(!self.socket().exists(), "the socket is left behind");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Where a test has not stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask_at(socket: &Path, args: &[&str]) -> Output {
    let mut command = trafcalc(&["status"]);
    command.args(args).arg("--socket").arg(socket).output().unwrap()
}

#[test]
fn it_tells_who_counts_since_when_and_at_what_cost() {
    if !can_capture("it_tells_who_counts_since_when_and_at_what_cost") {
        return;
    }
    let service = Service::start("1d");
    let output = service.ask(&["--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["pid"], service.child.id());
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["cpu_s"].as_f64().is_some() && status["resident_bytes"].as_u64() > Some(0), "{status}");
    assert_eq!(status["summary"]["backend"], "packet");
    assert_eq!((status["summary"].get("gaps"), status["log"]["waiting"].as_u64()), (None, Some(0)));
    let privileges = status["privileges"].as_str().unwrap();
    assert!(privileges.starts_with("none kept, user "), "{privileges}");
    let table = String::from_utf8(service.ask(&[]).stdout).unwrap();
    assert!(table.starts_with("well: all is counted\nservice    trafcalc "), "{table}");
    assert!(table.contains(&format!("\nprivileges {privileges}\n")), "{table}");
    assert!(table.contains("backend    packet\n") && table.contains("\nhealth     "), "{table}");
    let full = fs::File::create("/dev/full").unwrap();
    let mut unwritten = trafcalc(&["status", "--socket"]);
    let output = unwritten.arg(service.socket()).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(output.wait_with_output().unwrap().status.code(), Some(74), "an answer that nobody got is no success");
    service.stop();
}

#[test]
fn the_exit_code_tells_whether_all_is_well() {
    if !can_capture("the_exit_code_tells_whether_all_is_well") {
        return;
    }
    let service = Service::start_with("1d", &["--unit=nowhere.service", "--later"], &[]);
    let output = service.ask(&[]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.starts_with("counting, but 1 problem: ") && table.contains("nowhere.service"), "{table}");
    assert_eq!((output.status.code(), service.ask(&["--json"]).status.code()), (Some(1), Some(1)));
    let socket = service.socket();
    service.stop();
    assert_eq!(ask_at(&socket, &[]).status.code(), Some(69));
}

#[test]
fn nobody_who_asks_waits_for_a_backend_that_takes_its_time() {
    if !can_capture("nobody_who_asks_waits_for_a_backend_that_takes_its_time") {
        return;
    }
    let service = Service::start_with("100ms", &[], &[("TRAFCALC_TEST_STALL_MS", "60000")]);
    // Meanwhile the first report is due, and has to wait for the reader.
    std::thread::sleep(Duration::from_millis(300));
    let output = service.ask(&["--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(service.reports(), 0, "it was answered only after the backend had answered");
}

#[test]
fn a_thousand_clients_that_never_read_stop_neither_the_service_nor_the_log() {
    if !can_capture("a_thousand_clients_that_never_read_stop_neither_the_service_nor_the_log") {
        return;
    }
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = SILENT_CLIENTS as u64 + 200;
    if hard < wanted {
        leave_out("a_thousand_clients_that_never_read_stop_neither_the_service_nor_the_log", "needs more descriptors");
        return;
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard).unwrap();
    let service = Service::start("100ms");
    let silent: Vec<_> = (0..SILENT_CLIENTS).map(|_| UnixStream::connect(service.socket()).unwrap()).collect();
    let (start, reports) = (Instant::now(), service.reports());
    let output = service.ask(&["--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    while service.reports() < reports + 3 {
        assert!(start.elapsed() < PATIENCE, "the log has stopped");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(silent);
    service.stop();
}

#[test]
fn one_who_is_not_in_the_group_is_refused() {
    if !can_capture("one_who_is_not_in_the_group_is_refused") || !Uid::effective().is_root() {
        leave_out("one_who_is_not_in_the_group_is_refused", "needs root");
        return;
    }
    let service = Service::start("1d");
    // Where everybody can reach it.
    fs::set_permissions(service.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = service.folder.path().join("program");
    fs::copy(env!("CARGO_BIN_EXE_trafcalc"), &program).unwrap();
    let mut command = Command::new(&program);
    command.arg("status").arg("--socket").arg(service.socket());
    let output = command.uid(NOBODY).gid(NOBODY).output().unwrap();
    assert!(stderr(&output).contains("only the user and the group of the service may ask it"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(77));
    // Nothing but the group was missing.
    let output = command.uid(NOBODY).gid(nix::unistd::getegid().as_raw()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    service.stop();
}

#[test]
fn where_no_service_is_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    for _ in ["nothing is there", "a dead service was there"] {
        let output = ask_at(&socket, &[]);
        assert_eq!(output.status.code(), Some(69));
        assert!(stderr(&output).contains("socket: no service tells anything there"), "{}", stderr(&output));
        if !socket.exists() {
            drop(UnixListener::bind(&socket).unwrap());
        }
    }
    let config = folder.path().join("config.toml");
    fs::write(&config, "status.socket = ''\n").unwrap();
    let output = trafcalc(&["status"]).arg("--config").arg(config).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(stderr(&output).contains("there is no status socket"), "{}", stderr(&output));
}

#[test]
fn a_socket_that_cannot_be_made_is_named_and_nothing_is_left() {
    if !can_capture("a_socket_that_cannot_be_made_is_named_and_nothing_is_left") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let used = folder.path().join("used");
    let _living = UnixListener::bind(&used).unwrap();
    for (socket, told) in [
        (folder.path().join("missing/socket"), "socket: the status socket cannot be created: No such file"),
        (used, "used: another trafcalc serves its status there"),
    ] {
        let mut command = trafcalc(&["run", "--backend=packet", "--duration=100ms"]);
        command.arg("--log").arg(folder.path().join("log")).arg("--status-socket").arg(&socket);
        let output = command.output().unwrap();
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(78));
        assert!(!folder.path().join("log").exists());
    }
}
