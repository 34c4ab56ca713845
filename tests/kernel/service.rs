//! The service under test: started, signalled, stopped, and what it wrote.

mod directory;
mod log;
mod mounts;
mod readiness;
mod store;

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::target::Target;
use crate::world::Namespace;
pub(crate) use directory::{Directory, no_directory};
pub(crate) use log::Log;
use readiness::Readiness;
pub(crate) use store::{Objects, Store};

/// Longest time the service may take to start, to report, or to stop. It needs well under a second natively; an
/// emulated machine takes some seconds to read the kernel's BTF and verify a program.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// After this it ends by itself, should nobody be left to stop it.
const LONGEST_RUN: &str = "1h";

/// Where the system says which users are subordinate to others.
pub(crate) const SUBUID: &str = "/etc/subuid";

/// The user that the service becomes, where it finds one.
pub(crate) const RUN_AS: u32 = 70_020_900;

/// How the service is run, beyond the target.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) interval: &'static str,
    /// More arguments of `trafcalc run`.
    pub(crate) arguments: Vec<String>,
    /// Lines of the configuration file.
    pub(crate) config: String,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// What the service finds in /etc/subuid, if not the host's.
    pub(crate) subuid: Option<String>,
    /// Whether the service finds the user that it becomes.
    pub(crate) has_user: bool,
    /// A directory of users beside the host's; it has to live as long as the service.
    pub(crate) directory: Option<Directory>,
    /// Where the book is; there is none if not given.
    pub(crate) book: Option<PathBuf>,
    /// Where the log goes; a directory of the service's own if not given.
    pub(crate) log: Option<PathBuf>,
    /// Keeps descriptors for it.
    pub(crate) store: Store,
}

impl Default for Options {
    fn default() -> Self {
        let (arguments, environment) = (Vec::new(), Vec::new());
        let store = Store::default();
        Self {
            interval: "1s",
            arguments,
            config: String::new(),
            environment,
            subuid: None,
            has_user: false,
            directory: None,
            book: None,
            log: None,
            store,
        }
    }
}

impl Options {
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub(crate) fn config(mut self, line: &str) -> Self {
        self.config += line;
        self.config.push('\n');
        self
    }

    /// The same with its log at this path.
    pub(crate) fn log_to(self, path: PathBuf) -> Self {
        Self { log: Some(path), ..self }
    }

    pub(crate) fn subuid(self, line: &str) -> Self {
        Self { subuid: Some(format!("{line}\n")), ..self }
    }

    pub(crate) fn environment(mut self, name: &'static str, value: &impl ToString) -> Self {
        self.environment.push((name, value.to_string()));
        self
    }
}

/// A running service; killed when dropped.
pub(crate) struct Service {
    child: Child,
    dir: TempDir,
    log: PathBuf,
    readiness: Readiness,
}

impl Service {
    /// Starts it in `namespace`; it is counting when this returns.
    pub(crate) fn start(target: Target, namespace: &Namespace, options: &Options) -> Result<Self> {
        let mut service = Self::spawn(target, namespace, options)?;
        service.wait_until_ready()?;
        Ok(service)
    }

    /// Starts it in `namespace` and does not wait.
    pub(crate) fn spawn(target: Target, namespace: &Namespace, options: &Options) -> Result<Self> {
        let dir = TempDir::with_prefix("trafcalc-test-")?;
        let log = options.log.clone().unwrap_or_else(|| dir.path().join("traffic"));
        if options.has_user {
            // It has to come through to what is its own, and to have its log there.
            std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711))?;
            chown(dir.path(), Some(RUN_AS), Some(RUN_AS))?;
        }
        let readiness = Readiness::new(&dir.path().join("notify"), options.store.clone())?;
        let mut command = command(target, dir.path(), &log, options)?;
        command.env("NOTIFY_SOCKET", dir.path().join("notify"));
        let child = namespace.enter(|| spawn(&mut command, dir.path(), options))??;
        Ok(Self { child, dir, log, readiness })
    }

    /// Waits until it is counting.
    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.readiness.is_ready()? {
            if let Some(status) = self.child.try_wait()? {
                bail!("trafcalc ended with {status} before it was ready\n{}", self.stderr());
            }
            ensure!(Instant::now() < deadline, "trafcalc is not ready after {PATIENCE:?}\n{}", self.stderr());
        }
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).with_context(|| format!("cannot send {signal} to trafcalc"))
    }

    /// Changes what it finds in /etc/subuid, and waits until it has taken notice.
    pub(crate) fn change_subuid(&self, line: &str) -> Result<()> {
        // In place: another file would not be where it looks.
        std::fs::write(self.dir.path().join("subuid"), format!("{line}\n"))?;
        self.signal(Signal::SIGHUP)?;
        let deadline = Instant::now() + PATIENCE;
        while !self.stderr().contains("/etc/subuid was changed") {
            ensure!(Instant::now() < deadline, "trafcalc has not read /etc/subuid again\n{}", self.stderr());
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> Result<Log> {
        Log::read(&self.log)
    }

    /// Has it report at once and gives all that it has written.
    pub(crate) fn report_now(&self) -> Result<Log> {
        let reports = if self.log.exists() { self.log()?.reports.len() } else { 0 };
        self.signal(Signal::SIGUSR1)?;
        let log = self.wait_for_log(|log| log.reports.len() > reports)?;
        Ok(Log { stderr: self.stderr(), ..log })
    }

    /// Waits until what it has written fulfils `condition`; a log that is not there yet does not.
    pub(crate) fn wait_for_log(&self, condition: impl Fn(&Log) -> bool) -> Result<Log> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.log.exists() {
                let log = self.log()?;
                if condition(&log) {
                    return Ok(log);
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("the report waited for did not come within {PATIENCE:?}\n{}", self.stderr())
    }

    pub(crate) fn log_path(&self) -> &Path {
        &self.log
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, and gives what it wrote to standard error.
    pub(crate) fn kill(mut self) -> Result<String> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.stderr())
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Asks it to stop and gives all that it wrote; anything but exit code 0 is an error.
    pub(crate) fn stop(self) -> Result<Log> {
        self.terminate()?;
        self.finish()
    }

    /// The same for one that has been asked to stop.
    pub(crate) fn finish(mut self) -> Result<Log> {
        let status = self.wait()?;
        ensure!(status.success(), "trafcalc ended with {status}\n{}", self.stderr());
        let mut log = self.log()?;
        log.stderr = self.stderr();
        Ok(log)
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "trafcalc did not stop within {PATIENCE:?}\n{}", self.stderr());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it wrote to standard error.
    fn stderr(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a service tells at its status socket.
pub(crate) fn ask(socket: &Path) -> Result<serde_json::Value> {
    let mut text = String::new();
    UnixStream::connect(socket)?.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

/// Starts it on the calling thread, which is of no other use afterwards.
fn spawn(command: &mut Command, folder: &Path, options: &Options) -> Result<Child> {
    if let Some(ranges) = &options.subuid {
        let subuid = folder.join("subuid");
        std::fs::write(&subuid, ranges)?;
        mounts::see_instead(&subuid, SUBUID)?;
    }
    if options.has_user {
        std::fs::set_permissions(folder.join("notify"), Permissions::from_mode(0o666))?;
        let lines = [
            ("passwd", format!("trafcalc:x:{RUN_AS}:{RUN_AS}::/:/bin/false\n")),
            ("group", format!("trafcalc:x:{RUN_AS}:\n")),
        ];
        for (name, line) in lines {
            let (host, ours) = (format!("/etc/{name}"), folder.join(name));
            std::fs::write(&ours, std::fs::read_to_string(&host)? + &line)?;
            mounts::see_instead(&ours, &host)?;
        }
    }
    if let Some(directory) = &options.directory {
        mounts::see_instead(&directory.switch(), directory::NSSWITCH)?;
        command.env("LD_LIBRARY_PATH", directory.modules());
    }
    command.spawn().context("cannot start trafcalc")
}

/// The program under test.
pub(crate) fn program() -> OsString {
    std::env::var_os("TRAFCALC_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_trafcalc").into())
}

fn command(target: Target, dir: &Path, log: &Path, options: &Options) -> Result<Command> {
    let config = dir.join("config.toml");
    std::fs::write(&config, &options.config)?;
    let mut command = options.store.command(program());
    let book = options.book.as_deref().unwrap_or(Path::new("none"));
    command.args(["run", "--book"]).arg(book).args(target.arguments()).args([
        "--interval",
        options.interval,
        "--format",
        "json",
    ]);
    command.args(["--duration", LONGEST_RUN]);
    // Its own: those of the host may be another service's.
    for (option, name) in [("--status-socket", "status.sock"), ("--reports-socket", "reports.sock")] {
        if !options.arguments.iter().any(|argument| argument == option) {
            command.arg(option).arg(dir.join(name));
        }
    }
    command.arg("--config").arg(config).arg("--log").arg(log).args(&options.arguments);
    command.envs(options.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(dir.join("stderr"))?);
    Ok(command)
}
