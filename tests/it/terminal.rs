//! The terminal of `trafcalc top` is as it was before, however it ends.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Instant;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;

use super::live::{PATIENCE, Service};
use super::support::{can_capture, trafcalc};

/// `trafcalc top` on a pseudo terminal.
struct Top {
    child: Child,
    screen: File,
    terminal: File,
    before: Termios,
    shown: Vec<u8>,
}

impl Top {
    fn start(service: &Service) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).unwrap();
        fcntl(&master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let device = || Stdio::from(slave.try_clone().unwrap());
        let mut command = trafcalc(&["top", "--socket"]);
        command.arg(service.socket()).stdin(device()).stdout(device()).stderr(device());
        let child = command.spawn().unwrap();
        Self { child, screen: master.into(), terminal: slave.into(), before, shown: Vec::new() }
    }

    /// Reads until `word` is shown.
    fn shows(&mut self, word: &str) {
        let (start, mut bytes) = (Instant::now(), [0; 4096]);
        while !String::from_utf8_lossy(&self.shown).contains(word) {
            assert!(start.elapsed() < PATIENCE, "{word:?} is not in {:?}", String::from_utf8_lossy(&self.shown));
            let length = self.screen.read(&mut bytes).unwrap_or(0);
            self.shown.extend_from_slice(&bytes[..length]);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for the end, which leaves the terminal as it was.
    fn ends(mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        let after = tcgetattr(&self.terminal).unwrap();
        let flags = |state: &Termios| (state.local_flags, state.input_flags, state.output_flags);
        assert_eq!(flags(&after), flags(&self.before), "{status}");
        // The screen from before is shown again, and the cursor.
        self.shows("\u{1b}[?1049l");
        self.shows("\u{1b}[?25h");
        status
    }
}

#[test]
fn a_signal_ends_it_and_gives_the_terminal_back() {
    if !can_capture("a_signal_ends_it_and_gives_the_terminal_back") {
        return;
    }
    let service = Service::start("1d", &[]);
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut top = Top::start(&service);
        top.shows("healthy");
        top.signal(signal);
        let status = top.ends();
        if is_ignored(signal) {
            assert_eq!(status.code(), Some(0));
        } else {
            assert_eq!(status.signal(), Some(signal as i32), "who waits for it is told how it ended");
        }
    }
    service.stop();
}

/// Whether programs that are started here ignore a signal, as those under nohup do.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 << (signal as i32 - 1) != 0
}
