//! Running the program and looking at what it did.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use caps::{CapSet, Capability};

/// The program, with nothing of the environment that could change what it does.
pub(crate) fn trafcalc(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trafcalc"));
    command.args(args);
    if args.first() == Some(&"run") && !args.iter().any(|arg| arg.starts_with("--book")) {
        command.arg("--book=none");
    }
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "TRAFCALC_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// Runs `command` so that neither it nor its children can have `capabilities`, whoever runs the test.
pub(crate) fn run_without(capabilities: &[Capability], mut command: Command) -> Output {
    let run = || {
        for &capability in capabilities {
            // The bounding set belongs to this thread and what it starts. Whoever may not change it is no root, and
            // has no capabilities to give away.
            let _ = caps::drop(None, CapSet::Bounding, capability);
        }
        command.output().expect("the program starts")
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("the thread does not panic"))
}

/// Everything with which root could look past permissions.
pub(crate) const OVERRIDES: [Capability; 2] = [Capability::CAP_DAC_OVERRIDE, Capability::CAP_DAC_READ_SEARCH];

/// Whether this process may capture packets; says so when `test` is left out because it may not.
pub(crate) fn can_capture(test: &str) -> bool {
    let can = caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_RAW).unwrap_or(false);
    if !can {
        leave_out(test, "needs CAP_NET_RAW");
    }
    can
}

/// Says that `test` is left out. Not by `eprintln!`: what a passed test prints so is swallowed.
pub(crate) fn leave_out(test: &str, why: &str) {
    writeln!(std::io::stderr(), "left out: {test} {why}").expect("standard error takes a line");
}

/// Names, sizes, permissions and times of everything in a folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Folder(BTreeMap<PathBuf, (u64, u32, i64)>);

impl Folder {
    /// As it is now.
    pub(crate) fn look(path: &Path) -> Self {
        let entry = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            (entry.path(), (metadata.len(), metadata.mode(), metadata.mtime_nsec()))
        };
        Self(std::fs::read_dir(path).unwrap().map(entry).collect())
    }
}

/// What the program wrote to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
