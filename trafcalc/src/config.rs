//! The configuration: the file and the command line together become [`Settings`].
//!
//! It reads the given file, the host's time zone and the variables for tests, and nothing else of the system: code that
//! uses a setting finds out whether an interface exists or a log can be opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::book::Quota;
use crate::capture::{self, Attach, BackendKind, CreditTo, Dimension, Method};
use crate::near;
use crate::service::privileges::RunAs;

mod classes;
mod error;
mod file;
mod merge;
mod needs_actor;
mod quota;
mod test_knobs;
mod value;

pub use error::ConfigError;
use file::File;
use merge::{merge, socket};
pub use needs_actor::NeedsActor;
pub(crate) use quota::bytes;
pub use test_knobs::{TEST_BREAK, TEST_DROP_PERCENT, TEST_STALL_MS, TEST_WITHOUT_CAST, warn as warn_of_test_knobs};
pub use value::{BaseName, Choice, Format, Interval, Keep, Pid, RunTime, ShipInterval, ValueError};

/// Read if it exists and no other file is named.
pub const DEFAULT_FILE: &str = "/etc/trafcalc.toml";
/// The default path of the log.
pub const DEFAULT_LOG: &str = "/var/log/traffic";
/// The default path of the book, if reports go to a log.
pub const DEFAULT_BOOK: &str = "/var/lib/trafcalc/book.db";
/// The value that means no book.
pub const NO_BOOK: &str = "none";
/// The default socket for the status.
pub const DEFAULT_STATUS: &str = "/run/trafcalc/status.sock";
/// The default socket for reports.
pub const DEFAULT_REPORTS: &str = "/run/trafcalc/reports.sock";
/// Means standard output where a log's path is expected.
pub const STDOUT: &str = "-";
/// The default size of the packet backend's ring in bytes: half a second of headers at a million segments a second,
/// because the kernel filter passes only segments that this host sends.
pub const DEFAULT_RING_BYTES: usize = 8 << 20;
/// The largest ring; it is locked kernel memory.
pub const MAX_RING_BYTES: usize = 1 << 30;
/// The default number of connections that the packet backend follows at once.
pub const DEFAULT_CONNECTIONS: usize = 262_144;
/// The largest number of connections: beyond it the table takes gigabytes.
pub const MAX_CONNECTIONS: usize = 16_777_216;
/// The largest number of accounts in the kernel, which allocates all of them at the start, for every CPU.
pub const MAX_ACCOUNTS: usize = 1_048_576;
/// The checked settings of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What to count and how.
    pub capture: capture::Settings,
    /// The filters as they were written.
    pub only: Only,
    /// The classes of networks that are not billed.
    pub unbilled: Vec<String>,
    /// Which account gets the bytes of subordinate users.
    pub subordinate: Subordinate,
    /// Time between two reports.
    pub interval: Interval,
    /// How long to run.
    pub duration: Option<RunTime>,
    /// What keeps the programs and counters of the eBPF backend when the process ends.
    pub keep: Option<Keep>,
    /// The user that the service switches to if root starts it.
    pub run_as: RunAs,
    /// Where reports go.
    pub log: Log,
    /// The book.
    pub book: Option<Book>,
    /// The limits of accounts.
    pub quotas: Vec<Quota>,
    /// The socket for the status.
    pub status: Option<PathBuf>,
    /// The socket for reports.
    pub reports: Option<PathBuf>,
}

/// The book's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// The file.
    pub path: PathBuf,
    /// The zone of hours and days.
    pub zone: TimeZone,
    /// The day on which months begin, 1 to 28.
    pub billing_day: i8,
}

/// The filters as they were written; `identity::wanted` resolves them on the host. An empty list does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Names or numbers of users.
    pub users: Vec<String>,
    /// Processes.
    pub pids: Vec<Pid>,
    /// Whether their children count, too.
    pub children: bool,
    /// Programs.
    pub programs: Vec<BaseName>,
    /// Units, or other cgroups.
    pub units: Vec<BaseName>,
    /// Whether to wait for users who do not exist yet.
    pub later_users: bool,
    /// Whether to wait for units that do not exist yet.
    pub later_units: bool,
}

/// Where reports go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A file, or [`STDOUT`].
    pub path: PathBuf,
    /// Their format.
    pub format: Format,
    /// Reports go to standard output and no format was typed: on a terminal they are tables.
    pub is_for_people: bool,
    /// The host name in each record.
    pub host: Option<Arc<str>>,
}

/// The options of the command line; `None` if an option is not given.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Read this file, which must exist.
    pub config: Option<PathBuf>,
    /// `--backend`
    pub backend: Option<Backend>,
    /// `--attach`
    pub attach: Option<Attach>,
    /// `--method`
    pub method: Option<MethodChoice>,
    /// `--interval`
    pub interval: Option<Interval>,
    /// `--duration`
    pub duration: Option<RunTime>,
    /// `--log`
    pub log: Option<PathBuf>,
    /// `--format`
    pub format: Option<Format>,
    /// `--book`
    pub book: Option<PathBuf>,
    /// `--status-socket`
    pub status_socket: Option<PathBuf>,
    /// `--reports-socket`
    pub reports_socket: Option<PathBuf>,
    /// `--keep`
    pub keep: Option<Keep>,
    /// `--loopback`
    pub loopback: bool,
    /// `--by`; empty if it is not given.
    pub by: Vec<Dimension>,
    /// `--owner`
    pub owner: Option<CreditTo>,
    /// `--user`, `--pid`, `--children`, `--program`, `--unit`, `--later`
    pub only: Only,
}

/// The choice of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The first one that starts.
    #[default]
    Auto,
    /// Only this one.
    Only(BackendKind),
}

/// The choice of a method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MethodChoice {
    /// Sweep if nothing depends on which process acts; otherwise use hooks on each event as well.
    #[default]
    Auto,
    /// Only this one.
    Only(Method),
}

impl MethodChoice {
    const fn forced(self) -> Option<Method> {
        match self {
            Self::Auto => None,
            Self::Only(method) => Some(method),
        }
    }
}

/// Which account gets the bytes of subordinate user ids (subuid(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subordinate {
    /// The account of the user who has their range.
    #[default]
    User,
    /// An account for each id.
    Apart,
}

/// Merges `overrides` and the configuration file.
pub fn resolve(overrides: &Overrides) -> Result<Settings, ConfigError> {
    resolve_with(overrides, Path::new(DEFAULT_FILE), |name| std::env::var_os(name))
}

/// Warns of quotas that have no effect.
pub fn warn_of_quotas(settings: &Settings) {
    for sentence in unkept_quotas(settings) {
        tracing::warn!("{sentence}");
    }
}

/// A sentence for each quota that has no effect: nothing is booked, or what it restricts to is not told apart.
#[must_use]
pub fn unkept_quotas(settings: &Settings) -> Vec<String> {
    if settings.book.is_none() && !settings.quotas.is_empty() {
        return vec!["quotas are not kept without a book".to_owned()];
    }
    let tells_units = settings.capture.by.tells(Dimension::Unit);
    let classes: Vec<_> = settings.capture.classes.names().collect();
    let mut sentences = Vec::new();
    for quota in &settings.quotas {
        if !quota.units.is_empty() && !tells_units {
            sentences.push(format!("the quota {:?} names units, which need `by = [\"unit\"]`", quota.name));
        }
        let unknown = quota.classes.iter().filter(|class| !classes.iter().any(|known| **known == ***class));
        sentences.extend(unknown.map(|class| {
            let near = near::question(&near::near(class, classes.iter().map(|known| &**known)));
            let near = near.map(|question| format!(" ({question})")).unwrap_or_default();
            format!("the quota {:?} names the class {class:?}, and no [[class]] has that name{near}", quota.name)
        }));
    }
    sentences
}

/// The sockets of a service.
pub struct SocketPaths {
    /// For the status.
    pub status: Option<PathBuf>,
    /// For reports.
    pub reports: Option<PathBuf>,
}

/// The sockets of the service that uses `file`, or the default file if this user may read it.
pub fn sockets(file: Option<&Path>) -> Result<SocketPaths, ConfigError> {
    let written = match file {
        Some(path) => file::read(path)?,
        None => file::read_if_allowed(Path::new(DEFAULT_FILE))?,
    };
    Ok(SocketPaths { status: socket(None, written.status.socket), reports: socket(None, written.status.reports) })
}

/// The settings of the self-test: the defaults, without the configuration file, and with connections within this host.
pub fn for_selftest(
    backend: Option<Backend>,
    attach: Option<Attach>,
    method: Option<MethodChoice>,
) -> Result<capture::Settings, ConfigError> {
    let overrides = Overrides { backend, attach, method, loopback: true, ..Overrides::default() };
    let mut settings = merge(&overrides, File::default())?.capture;
    test_knobs::apply_break(&mut settings, |name| std::env::var_os(name))?;
    Ok(settings)
}

fn resolve_with(
    overrides: &Overrides,
    default_file: &Path,
    env: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> Result<Settings, ConfigError> {
    let file = match &overrides.config {
        Some(path) => file::read(path)?,
        None => file::read_if_present(default_file)?,
    };
    let mut settings = merge(overrides, file)?;
    test_knobs::apply(&mut settings.capture, env)?;
    Ok(settings)
}

#[cfg(test)]
mod tests;
