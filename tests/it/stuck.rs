//! Whoever reads the log, or the terminal it is shown on, may stop to take it: the service ends all the same, and says what was
//! not written. The packet backend counts, nobody makes traffic.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{FlowArg, tcflow};
use nix::unistd::{Pid, pipe};

use super::support::{can_capture, trafcalc};

/// Within this the service has to end.
const TIME: Duration = Duration::from_secs(5);

/// Long enough for the service to be stuck.
const HOLD: Duration = Duration::from_secs(4);

/// Stops the service, and gives its exit code and how long that took.
fn stop(child: &mut Child) -> (Option<i32>, Duration) {
    let start = Instant::now();
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    while start.elapsed() < 4 * TIME {
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), start.elapsed());
        }
        sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("it does not end");
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_nobody() {
    if !can_capture("a_pipe_that_nobody_reads_holds_up_nobody") {
        return;
    }
    let (reader, writer) = pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4_096)).unwrap();
    let mut child = trafcalc(&["run", "--backend=packet", "--interval=100ms", "--log=-"])
        .stdout(Stdio::from(writer))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    sleep(HOLD);
    let (code, took) = stop(&mut child);
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(code, Some(74), "{told}");
    assert!(took < TIME, "{took:?}");
    let mut written = String::new();
    File::from(reader).read_to_string(&mut written).unwrap();
    // Every report is in the pipe or was told, in order; one may be in both, if a part of it was written.
    let seqs = |text: &str| -> Vec<u64> {
        let summaries = text.lines().filter(|line| line.starts_with("type=summary "));
        summaries.filter_map(|line| line.split(" seq=").nth(1)?.split(' ').next()?.parse().ok()).collect()
    };
    let (written, told_seqs) = (seqs(&written), seqs(&told));
    assert!(told.contains("the last report is lost: it was not written in time"), "{told}");
    let mut all = written.clone();
    all.extend(told_seqs.iter().filter(|seq| !written.contains(seq)));
    assert_eq!(all, (1..=all.last().copied().unwrap()).collect::<Vec<_>>(), "{written:?} {told_seqs:?}");
    assert!(all.len() > 10, "{all:?}");
}

#[test]
fn a_terminal_that_is_held_holds_up_nobody() {
    if !can_capture("a_terminal_that_is_held_holds_up_nobody") {
        return;
    }
    let terminal = openpty(None, None).unwrap();
    let side = || Stdio::from(terminal.slave.try_clone().unwrap());
    let mut child = trafcalc(&["run", "--backend=packet", "--interval=100ms", "--log=-"])
        .stdout(side())
        .stderr(side())
        .spawn()
        .unwrap();
    sleep(Duration::from_millis(500));
    tcflow(terminal.slave.as_fd(), FlowArg::TCOOFF).unwrap();
    sleep(HOLD);
    let (code, took) = stop(&mut child);
    assert_eq!(code, Some(74));
    assert!(took < TIME, "{took:?}");
}
