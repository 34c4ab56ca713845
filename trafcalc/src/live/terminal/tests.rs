use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

use super::super::testing::three;
use super::*;

/// Longest time that a process may take to panic.
const PATIENCE: Duration = Duration::from_secs(20);

fn broken(model: Model, listening: impl FnOnce(SyncSender<Heard>) + Send + 'static) {
    let request = Request { socket: PathBuf::new(), is_once: false, is_json: false, is_bits: false };
    let shown = show_what(App::new(&request, model), listening);
    panic!("it has ended without a panic: {shown:?}");
}

#[test]
#[ignore = "breaks; the test of its terminal runs it in a process of its own"]
fn breaks_where_it_listens() {
    broken(three(), |_| panic!("the listener breaks"));
}

#[test]
#[ignore = "breaks; the test of its terminal runs it in a process of its own"]
fn breaks_where_it_draws() {
    // Bytes that moved after the last sample have a negative age.
    let mut model = three();
    model.count = 0;
    broken(model, |tell| {
        thread::park();
        drop(tell);
    });
}

#[test]
fn a_panic_gives_the_terminal_back_wherever_it_comes() {
    for (test, message) in [
        ("breaks_where_it_listens", "the thread that listens to the service has panicked"),
        ("breaks_where_it_draws", "what moved is no later than the last sample"),
    ] {
        let OpenptyResult { master, slave } = openpty(None, None).unwrap();
        fcntl(&master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        let before = tcgetattr(&slave).unwrap();
        assert!(before.local_flags.contains(LocalFlags::ECHO | LocalFlags::ICANON));
        let device = || Stdio::from(slave.try_clone().unwrap());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--ignored", "--nocapture", &format!("live::terminal::tests::{test}")]);
        let mut child = command.stdin(device()).stdout(device()).stderr(device()).spawn().unwrap();
        drop(command);
        let reading = thread::spawn(move || {
            let mut shown = Vec::new();
            // It ends with an error once no process has the terminal open.
            let _ = File::from(master).read_to_end(&mut shown);
            String::from_utf8_lossy(&shown).into_owned()
        });
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if start.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("{test}: it goes on");
            }
            thread::sleep(Duration::from_millis(5));
        }
        let after = tcgetattr(&slave).unwrap();
        drop(slave);
        let shown = reading.join().unwrap();
        assert_eq!((after.local_flags, after.input_flags), (before.local_flags, before.input_flags), "{test}");
        let last = |text: &str| shown.rfind(text).unwrap_or_else(|| panic!("{test}: no {text:?} in {shown:?}"));
        assert!(last("\u{1b}[?1049l") > last("\u{1b}[?1049h"), "{test}: {shown:?}");
        assert!(last(message) > last("\u{1b}[?1049h"), "{test}: it can be read: {shown:?}");
    }
}
