//! The reports socket of a running service: who is told what, and that nobody holds the service up by it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::termios::LocalFlags;
use nix::unistd::{Pid, Uid};
use serde_json::Value;

use super::support::{can_capture, leave_out, stderr, trafcalc};

/// Longest anything here may take, on a machine that is busy with something else.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Nobody's number in every distribution.
const NOBODY: u32 = 65_534;

/// A service that tells its reports in a folder of its own, where everybody can reach it.
pub(super) struct Service {
    child: Child,
    folder: tempfile::TempDir,
}

impl Service {
    pub(super) fn start(interval: &str, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = trafcalc(&["run", "--backend=packet", "--format=json", "--status-socket="]);
        command.args(["--interval", interval]).args(args);
        command.arg("--log").arg(folder.path().join("log"));
        command.arg("--reports-socket").arg(folder.path().join("reports"));
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let service = Self { child, folder };
        let start = Instant::now();
        while UnixStream::connect(service.socket()).is_err() {
            assert!(start.elapsed() < PATIENCE, "it does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        service
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("reports")
    }

    fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    pub(super) fn stop(mut self) {
        self.signal(Signal::SIGTERM);
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

/// A client.
struct Client(BufReader<UnixStream>);

impl Client {
    fn connect(service: &Service) -> Self {
        let stream = UnixStream::connect(service.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn record(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }
}

#[test]
fn who_reads_is_greeted_and_told_what_the_log_has() {
    if !can_capture("who_reads_is_greeted_and_told_what_the_log_has") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let book = format!("--book={}", folder.path().join("book.db").display());
    for book in ["--book=none", &book] {
        let service = Service::start("1d", &[book, "--by=program"]);
        let mode = fs::metadata(service.socket()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666, "everybody may ask for his own");
        let mut client = Client::connect(&service);
        let hello = client.record();
        assert_eq!(
            (&hello["type"], &hello["schema"], &hello["backend"]),
            (&"hello".into(), &1.into(), &"packet".into())
        );
        assert_eq!(hello["by"], serde_json::json!(["user", "program"]));
        assert_eq!(
            (hello["interval_s"].as_f64(), &hello["version"]),
            (Some(86_400.0), &env!("CARGO_PKG_VERSION").into())
        );
        assert_eq!((hello.get("zone").is_some(), hello.get("only_uid")), (book != "--book=none", None));
        // A report comes after the greeting, so it is told.
        service.signal(Signal::SIGUSR1);
        let mut lines = vec![client.line()];
        while !lines.last().unwrap().contains("\"type\":\"summary\"") {
            lines.push(client.line());
        }
        assert!(lines.last().unwrap().contains(&format!("\"epoch\":{},\"seq\":1,", hello["epoch"])));
        service.signal(Signal::SIGTERM);
        while !lines.last().unwrap().is_empty() {
            lines.push(client.line());
        }
        lines.pop();
        assert_eq!(lines, service.log(), "the last report comes to readers, too");
        service.stop();
    }
}

#[test]
fn who_reads_is_told_which_classes_there_are_and_which_are_billed() {
    if !can_capture("who_reads_is_told_which_classes_there_are_and_which_are_billed") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    fs::write(&config, "book.path = 'none'\n[[class]]\nname = 'lan'\nnetworks = ['10.0.0.0/8']\nbilled = false\n")
        .unwrap();
    let service = Service::start("1d", &["--config", config.to_str().unwrap()]);
    let hello = Client::connect(&service).record();
    let class = |name: &str, billed: bool| serde_json::json!({"name": name, "billed": billed});
    assert_eq!(hello["classes"], serde_json::json!([class("internet", true), class("lan", false)]));
    service.stop();
    let service = Service::start("1d", &["--book=none"]);
    assert_eq!(Client::connect(&service).record().get("classes"), None);
    service.stop();
}

#[test]
fn samples_come_between_reports_and_are_none() {
    if !can_capture("samples_come_between_reports_and_are_none") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let book = format!("--book={}", folder.path().join("book.db").display());
    let service = Service::start("1d", &[&book]);
    let mut client = Client::connect(&service);
    let hello = client.record();
    client.send("{\"every_ms\":1000}\n");
    let mut at_s = 0.0;
    for _ in 0..3 {
        let sample = client.record();
        assert_eq!((&sample["type"], &sample["summary"]["epoch"]), (&"sample".into(), &hello["epoch"]));
        assert_eq!(sample["summary"]["seq"], 0, "no report was made");
        let now_s = sample["at_s"].as_f64().unwrap();
        assert!(now_s > at_s);
        at_s = now_s;
    }
    assert!(client.record().get("date").is_some(), "today is told once the book was read");
    assert_eq!(service.log(), [""; 0]);
    service.stop();
}

#[test]
fn sixteen_who_never_read_and_a_hundred_who_come_in_vain_hold_nothing_up() {
    if !can_capture("sixteen_who_never_read_and_a_hundred_who_come_in_vain_hold_nothing_up") {
        return;
    }
    let service = Service::start("100ms", &[]);
    let mut silent = Vec::new();
    for _ in 0..16 {
        let mut client = Client::connect(&service);
        client.send("{\"every_ms\":1000}\n");
        silent.push(client);
    }
    let mut refused = Client::connect(&service);
    assert_eq!(refused.record()["type"], "hello");
    assert_eq!(refused.record()["error"], "there are 16 clients already");
    assert_eq!(refused.line(), "", "it is closed");
    let more: Vec<_> = (0..100).map(|_| Client::connect(&service)).collect();
    let (start, lines) = (Instant::now(), service.log().len());
    while service.log().len() < lines + 5 {
        assert!(start.elapsed() < PATIENCE, "the log has stopped");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop((silent, more));
    let start = Instant::now();
    while Client::connect(&service).record().get("error").is_some() {
        assert!(start.elapsed() < PATIENCE, "there is no room after they have gone");
    }
    service.stop();
}

#[test]
fn who_is_not_in_the_group_is_told_so_and_sees_himself_alone() {
    const NAME: &str = "who_is_not_in_the_group_is_told_so_and_sees_himself_alone";
    if !can_capture(NAME) || !Uid::effective().is_root() {
        leave_out(NAME, "needs root");
        return;
    }
    let service = Service::start("1d", &[]);
    let program = service.folder.path().join("program");
    fs::copy(env!("CARGO_BIN_EXE_trafcalc"), &program).unwrap();
    let ask = |gid: u32| {
        let mut command = Command::new(&program);
        command.args(["top", "--once"]).arg("--socket").arg(service.socket());
        let output = command.uid(NOBODY).gid(gid).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let told = "You see yourself (user 65534) alone.\n";
    assert!(ask(NOBODY).ends_with(told), "{}", ask(NOBODY));
    assert!(!ask(nix::unistd::getegid().as_raw()).contains(told), "nothing but the group was missing");
    service.stop();
}

/// The last holder of a descriptor closes it, which can take as long as its owner likes.
#[test]
fn clients_cannot_pass_descriptors_where_the_kernel_knows_how_to_refuse_them() {
    const NAME: &str = "clients_cannot_pass_descriptors_where_the_kernel_knows_how_to_refuse_them";
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) < (Some(6), Some(16)) {
        return leave_out(NAME, "needs Linux 6.16");
    }
    if !can_capture(NAME) {
        return;
    }
    let service = Service::start("1d", &[]);
    let client = UnixStream::connect(service.socket()).unwrap();
    let (passed, text) = ([client.as_raw_fd()], [std::io::IoSlice::new(b"x")]);
    let send =
        |rights: &[ControlMessage<'_>]| sendmsg::<()>(client.as_raw_fd(), &text, rights, MsgFlags::MSG_NOSIGNAL, None);
    assert_eq!(send(&[ControlMessage::ScmRights(&passed)]), Err(nix::errno::Errno::EPERM));
    assert_eq!(send(&[]), Ok(1));
    service.stop();
}

#[test]
fn top_prints_once_where_there_is_no_terminal_and_says_where_no_service_is() {
    const NAME: &str = "top_prints_once_where_there_is_no_terminal_and_says_where_no_service_is";
    if !can_capture(NAME) {
        return;
    }
    let service = Service::start("1d", &[]);
    let top =
        |args: &[&str], socket: &Path| trafcalc(&["top"]).args(args).arg("--socket").arg(socket).output().unwrap();
    let table = top(&[], &service.socket());
    assert_eq!(String::from_utf8(table.stdout).unwrap().lines().next(), Some("user   sent/s  received/s"));
    let json = top(&["--once", "--json"], &service.socket());
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["accounts"], &json["summary"]["backend"]), (&serde_json::json!([]), &"packet".into()));
    let nowhere = top(&[], &service.folder.path().join("nothing"));
    assert_eq!(nowhere.status.code(), Some(69));
    assert!(stderr(&nowhere).contains("nothing: no service tells anything there"), "{}", stderr(&nowhere));
    let config = service.folder.path().join("config.toml");
    fs::write(&config, "status.reports = ''\n").unwrap();
    let output = trafcalc(&["top", "--config"]).arg(config).output().unwrap();
    assert!(stderr(&output).contains("there is no reports socket"), "{}", stderr(&output));
    let mut closed = trafcalc(&["top", "--json", "--socket"]);
    let mut child = closed.arg(service.socket()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0), "who has closed the other end wants no more");
    service.stop();
}

#[test]
fn on_a_terminal_reports_are_tables_and_all_of_it_is_told_at_the_end() {
    const NAME: &str = "on_a_terminal_reports_are_tables_and_all_of_it_is_told_at_the_end";
    if !can_capture(NAME) {
        return;
    }
    let shown = |args: &[&str]| {
        let terminal = nix::pty::openpty(None, None).unwrap();
        let mut command = trafcalc(&["run", "--backend=packet", "--interval=100ms", "--duration=350ms", "--log=-"]);
        command.args(["--status-socket=", "--reports-socket="]).args(args);
        let mut child = command.stdout(terminal.slave).stderr(Stdio::null()).spawn().unwrap();
        drop(command);
        let mut text = Vec::new();
        // It ends with an error when the last one has closed the terminal.
        let _ = fs::File::from(terminal.master).read_to_end(&mut text);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        String::from_utf8(text).unwrap().replace("\r\n", "\n")
    };
    let tables = shown(&[]);
    assert!(tables.lines().next().unwrap().ends_with("  nothing moved"), "{tables}");
    assert!(tables.contains("\nSince ") && !tables.contains("type="), "{tables}");
    assert!(shown(&["--format=logfmt"]).starts_with("type=summary "), "who types a format wants records");
}

#[test]
fn a_terminal_shows_the_service_and_is_given_back() {
    const NAME: &str = "a_terminal_shows_the_service_and_is_given_back";
    if !can_capture(NAME) {
        return;
    }
    let service = Service::start("1d", &[]);
    for (pressed, is_coloured) in [("q", true), ("\u{3}", false)] {
        let size = nix::pty::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = nix::pty::openpty(&size, None).unwrap();
        // What is shown must not keep its own terminal open.
        fcntl(&terminal.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        let before = nix::sys::termios::tcgetattr(&terminal.slave).unwrap();
        let device = || Stdio::from(terminal.slave.try_clone().unwrap());
        let mut command = trafcalc(&["top", "--socket"]);
        command.arg(service.socket()).stdin(device()).stdout(device()).stderr(device()).env_remove("NO_COLOR");
        if !is_coloured {
            command.env("NO_COLOR", "1");
        }
        let mut child = command.spawn().unwrap();
        let mut screen = fs::File::from(terminal.master);
        fcntl(&screen, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let mut shown = Vec::new();
        let mut read_until = |word: &str, screen: &mut fs::File| {
            let (start, mut bytes) = (Instant::now(), [0; 4096]);
            while !String::from_utf8_lossy(&shown).contains(word) {
                assert!(start.elapsed() < PATIENCE, "{word:?} is not in {:?}", String::from_utf8_lossy(&shown));
                let length = screen.read(&mut bytes).unwrap_or(0);
                shown.extend_from_slice(&bytes[..length]);
                std::thread::sleep(Duration::from_millis(5));
            }
            String::from_utf8_lossy(&shown).into_owned()
        };
        let first = read_until("healthy", &mut screen);
        assert!(first.contains("trafcalc") && first.contains("packet"), "{first}");
        assert_eq!(first.contains("\u{1b}[38;5;"), is_coloured, "{first:?}");
        screen.write_all(pressed.as_bytes()).unwrap();
        // The screen from before it is shown again.
        read_until("\u{1b}[?1049l", &mut screen);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        let after = nix::sys::termios::tcgetattr(&terminal.slave).unwrap();
        assert_eq!((before.local_flags, before.input_flags), (after.local_flags, after.input_flags));
    }
    let terminal = nix::pty::openpty(None, None).unwrap();
    fcntl(&terminal.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    let device = || Stdio::from(terminal.slave.try_clone().unwrap());
    let mut command = trafcalc(&["top", "--socket"]);
    let mut child =
        command.arg(service.socket()).stdin(device()).stdout(device()).stderr(Stdio::null()).spawn().unwrap();
    // It is underway when it has changed the mode of the terminal.
    let start = Instant::now();
    while nix::sys::termios::tcgetattr(&terminal.slave).unwrap().local_flags.contains(LocalFlags::ECHO) {
        assert!(start.elapsed() < PATIENCE, "it shows nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop((terminal, command));
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > 2 * PATIENCE {
            child.kill().unwrap();
            panic!("it goes on without a terminal");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    service.stop();
}
