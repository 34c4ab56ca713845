//! What the user wrote in the configuration file, and what that means together with the command line: [`Settings`].
//!
//! It never looks at the system beyond the file it is asked to read: whether an
//! interface exists or a log can be opened is found out by whoever uses it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::book::Quota;
use crate::capture::{self, Attach, BackendKind, Belonging, Dimension, Method};
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
pub use value::{Format, Interval, Keep, LastPart, Pid, RunTime, ValueError, Word};

/// Read when it exists and no other file is named.
pub const DEFAULT_FILE: &str = "/etc/trafcalc.toml";
/// Where reports go when nobody says otherwise.
pub const DEFAULT_LOG: &str = "/var/log/traffic";
/// Where the book is when nobody says otherwise, and reports go to a log.
pub const DEFAULT_BOOK: &str = "/var/lib/trafcalc/book.db";
/// What stands for no book.
pub const NO_BOOK: &str = "none";
/// Where the service tells its status when nobody says otherwise.
pub const DEFAULT_STATUS: &str = "/run/trafcalc/status.sock";
/// Where the service tells its reports when nobody says otherwise.
pub const DEFAULT_REPORTS: &str = "/run/trafcalc/reports.sock";
/// Stands for standard output where a log's path is asked for.
pub const STDOUT: &str = "-";
/// The packet backend's ring in bytes when nobody says otherwise: half a second of headers at a million segments a
/// second, since the kernel filter lets only those this host sends through.
pub const DEFAULT_RING_BYTES: usize = 8 << 20;
/// The largest ring; it is locked kernel memory.
pub const MAX_RING_BYTES: usize = 1 << 30;
/// Connections that the packet backend follows at once when nobody says otherwise.
pub const DEFAULT_CONNECTIONS: usize = 262_144;
/// Most connections anyone may ask for: beyond it the table takes gigabytes.
pub const MAX_CONNECTIONS: usize = 16_777_216;
/// Most accounts anyone may ask the kernel for: it allocates all of them at the start, for every CPU.
pub const MAX_ACCOUNTS: usize = 1_048_576;
/// Everything the service needs to know, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What to count and how.
    pub capture: capture::Settings,
    /// Whose traffic is wanted, as it was written.
    pub only: Only,
    /// The classes of networks that are not billed.
    pub unbilled: Vec<String>,
    /// Whose the bytes of subordinate users are.
    pub subordinate: Subordinate,
    /// Time between two reports.
    pub interval: Interval,
    /// Stop by itself after this long.
    pub duration: Option<RunTime>,
    /// Who keeps the programs and counters of the eBPF backend when the process ends.
    pub keep: Option<Keep>,
    /// The user that the service becomes where root starts it.
    pub run_as: RunAs,
    /// Where reports go.
    pub log: Log,
    /// Where the accounts are kept.
    pub book: Option<Book>,
    /// How much who may move.
    pub quotas: Vec<Quota>,
    /// The socket at which the service tells its status.
    pub status: Option<PathBuf>,
    /// The socket at which the service tells its reports.
    pub reports: Option<PathBuf>,
}

/// Where the accounts are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// The file.
    pub path: PathBuf,
    /// What hours and days are reckoned in.
    pub zone: TimeZone,
    /// The day on which months begin, 1 to 28.
    pub billing_day: i8,
}

/// Whose traffic is wanted, as it was written; what it means is up to the system (`identity::wanted`). Where a list is
/// empty, everybody's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Names or numbers of users.
    pub users: Vec<String>,
    /// Processes.
    pub pids: Vec<Pid>,
    /// Their children, too.
    pub children: bool,
    /// Programs.
    pub programs: Vec<LastPart>,
    /// Units, or other cgroups.
    pub units: Vec<LastPart>,
    /// Users who are not there yet are waited for.
    pub later_users: bool,
    /// Units that are not there yet are waited for.
    pub later_units: bool,
}

/// Where reports go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A file, or [`STDOUT`].
    pub path: PathBuf,
    /// How they are written.
    pub format: Format,
    /// They go to standard output, and nobody typed a format: on a terminal they are tables.
    pub is_for_people: bool,
    /// The name of the host in each record.
    pub host: Option<Arc<str>>,
}

/// What the command line may override; `None` where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Read this file, which then has to be there.
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
    pub owner: Option<Belonging>,
    /// `--user`, `--pid`, `--children`, `--program`, `--unit`, `--later`
    pub only: Only,
}

/// The choice of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The first that starts.
    #[default]
    Auto,
    /// This one or none.
    Only(BackendKind),
}

/// The choice of a method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MethodChoice {
    /// Sweep where nothing depends on who acts, and look at each event, too, elsewhere.
    #[default]
    Auto,
    /// This one or none.
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

/// Whose the bytes of subordinate user ids (subuid(5)) are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subordinate {
    /// The user's who has their range.
    #[default]
    User,
    /// Their own: each id is an account.
    Apart,
}

/// What `overrides` and the configuration file mean together.
pub fn resolve(overrides: &Overrides) -> Result<Settings, ConfigError> {
    resolve_with(overrides, Path::new(DEFAULT_FILE), |name| std::env::var_os(name))
}

/// Warns of quotas that cannot be kept.
pub fn warn_of_quotas(settings: &Settings) {
    for sentence in unkept_quotas(settings) {
        tracing::warn!("{sentence}");
    }
}

/// A sentence for each quota that has no bytes: nothing is booked, or what it is of is not told apart.
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

/// Where a service tells something.
pub struct SocketPaths {
    /// Its status.
    pub status: Option<PathBuf>,
    /// Its reports.
    pub reports: Option<PathBuf>,
}

/// The sockets of the service that `file` is of; the default file may be one that not everybody may read.
pub fn sockets(file: Option<&Path>) -> Result<SocketPaths, ConfigError> {
    let written = match file {
        Some(path) => file::read(path)?,
        None => file::read_if_allowed(Path::new(DEFAULT_FILE))?,
    };
    Ok(SocketPaths { status: socket(None, written.status.socket), reports: socket(None, written.status.reports) })
}

/// What the self-test captures with: the defaults, whatever a configuration file says, and connections within this
/// host.
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
