//! Running the program and looking at what it did.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use caps::{CapSet, Capability};

/// The program, with nothing of the environment that could change what it does.
pub(crate) fn trafcalc(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trafcalc"));
    let (name, options) = args.split_at(args.len().min(1));
    command.args(name);
    if name == ["run"] && options.contains(&"--backend=packet") {
        // Traffic of the host must not decide about a test, such as another test's download.
        static SILENT: OnceLock<PathBuf> = OnceLock::new();
        let config = SILENT.get_or_init(|| {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("silent.toml");
            fs::write(&path, "[packet]\ninterfaces = ['lo']\n").expect("the target folder can be written");
            path
        });
        command.arg("--config").arg(config);
    }
    command.args(options);
    if name == ["run"] && !options.iter().any(|option| option.starts_with("--book")) {
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

/// A folder of `target/` with these packages of `PyPI`, which are downloaded unless it is there.
pub(crate) fn from_pypi(packages: &[&str]) -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a workspace")?.join("target");
    ensure!(target.parent().is_some_and(Path::exists), "the tests run elsewhere than they were built");
    let ours = target.join("pypi").join(packages.join("+"));
    if !ours.exists() {
        fs::create_dir_all(target.join("pypi"))?;
        let folder = tempfile::tempdir_in(&target)?;
        let run = |command: &mut Command| -> Result<()> {
            let output = command.current_dir(folder.path()).output()?;
            ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            Ok(())
        };
        run(Command::new("python3").args(["-m", "venv", "venv"]))?;
        let mut install = Command::new("timeout");
        install.args(["300", "venv/bin/pip", "install", "--quiet", "--no-deps", "--target=packages"]).args(packages);
        run(&mut install)?;
        // Fails if another test was faster.
        let _ = fs::rename(folder.path().join("packages"), &ours);
    }
    Ok(ours)
}

/// What the program wrote to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
