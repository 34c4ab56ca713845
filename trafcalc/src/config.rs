//! What the user wrote in the configuration file, and what that means together with the command line: [`Settings`].
//!
//! It never looks at the system beyond the file it is asked to read: whether an
//! interface exists or a log can be opened is found out by whoever uses it.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::capture::{
    self, Attach, BackendKind, Belonging, By, Dimension, EbpfSettings, Method, PacketSettings, Wanted,
};

mod file;
mod needs_actor;
mod test_knobs;
mod value;

use file::File;
pub use needs_actor::NeedsActor;
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
    /// Whose the bytes of subordinate users are.
    pub subordinate: Subordinate,
    /// Time between two reports.
    pub interval: Interval,
    /// Stop by itself after this long.
    pub duration: Option<RunTime>,
    /// Who keeps the programs and counters of the eBPF backend when the process ends.
    pub keep: Option<Keep>,
    /// Where reports go.
    pub log: Log,
    /// Where the accounts are kept.
    pub book: Option<Book>,
    /// The socket at which the service tells its status.
    pub status: Option<PathBuf>,
}

/// Where the accounts are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// The file.
    pub path: PathBuf,
    /// What hours and days are reckoned in.
    pub zone: TimeZone,
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

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that is wrong.
    #[error("{}:{line}: {}{message}", file.display(), key_prefix(key))]
    Wrong {
        /// Which file.
        file: PathBuf,
        /// The line, counted from 1.
        line: NonZeroUsize,
        /// The key with its tables, joined by dots; empty where the text is not TOML.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// `--attach` without the only backend it is for.
    #[error("--attach {} is for the ebpf backend, but the backend is packet", .0.name())]
    AttachWithoutEbpf(Attach),
    /// `--method` without the only backend it is for.
    #[error("--method {} is for the ebpf backend, but the backend is packet", .0.name())]
    MethodWithoutEbpf(Method),
    /// The method `sweep` with something that depends on who acts.
    #[error(
        "--method sweep cannot be used with {needs_actor}: a sweep reads connections before each report and does not see \
         which process sends or receives; use --method events or auto"
    )]
    SweepWithoutActor {
        /// What depends on who acts.
        needs_actor: NeedsActor,
        /// Whether one of the two is an option of the command line, and not both written in the file.
        is_usage: bool,
    },
    /// The owner `acting` with the backend that cannot.
    #[error("--owner acting is for the ebpf backend, but the backend is packet, which sees no processes act")]
    ActingWithoutEbpf {
        /// Whether one of the two is an option of the command line, and not both written in the file.
        is_usage: bool,
    },
    /// `--by` names something twice.
    #[error("--by has {} twice", .0.name())]
    RepeatedBy(Dimension),
    /// `--children` of nobody.
    #[error("--children is for the processes that --pid names, but there is none")]
    ChildrenOfNobody,
    /// A variable for tests has a value it cannot have.
    #[error("the environment variable {name} must be a number from 0 to {max}")]
    TestKnob {
        /// Its name.
        name: &'static str,
        /// The largest value.
        max: u64,
    },
}

fn key_prefix(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}

impl ConfigError {
    /// Whether the fault is in how the program was called, not in a file.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::AttachWithoutEbpf(_)
                | Self::MethodWithoutEbpf(_)
                | Self::SweepWithoutActor { is_usage: true, .. }
                | Self::ActingWithoutEbpf { is_usage: true }
                | Self::RepeatedBy(_)
                | Self::ChildrenOfNobody
                | Self::TestKnob { .. }
        )
    }
}

/// What `overrides` and the configuration file mean together.
pub fn resolve(overrides: &Overrides) -> Result<Settings, ConfigError> {
    resolve_with(overrides, Path::new(DEFAULT_FILE), |name| std::env::var_os(name))
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

fn merge(overrides: &Overrides, file: File) -> Result<Settings, ConfigError> {
    let attach = overrides.attach.or(file.ebpf.attach);
    let method = overrides.method.unwrap_or(file.ebpf.method).forced();
    let backend = match overrides.backend.unwrap_or(file.backend) {
        // An attach mode or a method that is forced rules out the backend that has none.
        Backend::Auto => (attach.is_some() || method.is_some()).then_some(BackendKind::Ebpf),
        Backend::Only(kind) => Some(kind),
    };
    let (by, belonging) = (by(&overrides.by, file.by)?, overrides.owner.unwrap_or(file.owner));
    let only = merge_only(&overrides.only, &file.only);
    if backend == Some(BackendKind::Packet) {
        check_packet(overrides, belonging)?;
    } else if method == Some(Method::Sweep)
        && let Some(needs_actor) = NeedsActor::of(by, belonging, &only)
    {
        let is_usage = overrides.method.is_some() || needs_actor.is_typed(overrides);
        return Err(ConfigError::SweepWithoutActor { needs_actor, is_usage });
    }
    if overrides.only.children && overrides.only.pids.is_empty() {
        return Err(ConfigError::ChildrenOfNobody);
    }
    let log = Log {
        path: overrides.log.clone().unwrap_or(file.log.path),
        format: overrides.format.unwrap_or(file.log.format),
        host: file.log.host.map(Arc::from),
    };
    let book = book(overrides.book.clone().or(file.book.path), file.book.zone, &log);
    Ok(Settings {
        only,
        subordinate: file.subordinate,
        capture: capture::Settings {
            backend,
            attach,
            loopback: overrides.loopback || file.loopback,
            by,
            wanted: Wanted::default(),
            belonging,
            subordinates: Vec::new(),
            former: None,
            open: Vec::new(),
            ebpf: EbpfSettings {
                method,
                max_connections: file.ebpf.max_connections,
                max_accounts: file.ebpf.max_accounts,
                ..EbpfSettings::default()
            },
            packet: PacketSettings {
                interfaces: file.packet.interfaces,
                ring_bytes: file.packet.ring_bytes,
                max_connections: file.packet.max_connections,
                test_drop_percent: 0,
                test_stall_ms: 0,
                test_lose_fins: false,
            },
        },
        keep: overrides.keep.clone().or(file.ebpf.keep),
        interval: overrides.interval.unwrap_or(file.interval),
        duration: overrides.duration,
        log,
        book,
        status: Some(overrides.status_socket.clone().unwrap_or(file.status.socket))
            .filter(|path| !path.as_os_str().is_empty()),
    })
}

/// What accounts are told apart by: what was typed, if anything, and else what the file says.
fn by(typed: &[Dimension], written: By) -> Result<By, ConfigError> {
    if typed.is_empty() { Ok(written) } else { By::of(typed).map_err(ConfigError::RepeatedBy) }
}

/// The book that is asked for; where nothing is said of it, the default one if reports go to a log, and none if they are only
/// looked at.
fn book(path: Option<PathBuf>, zone: Option<TimeZone>, log: &Log) -> Option<Book> {
    let path = path.or_else(|| (log.path != Path::new(STDOUT)).then(|| DEFAULT_BOOK.into()))?;
    // Where the host's is not known, it is UTC by that name, so that readers find it again.
    let host = || Some(TimeZone::system()).filter(|zone| !zone.is_unknown()).unwrap_or(TimeZone::UTC);
    let zone = zone.unwrap_or_else(host);
    (path != Path::new(NO_BOOK)).then_some(Book { path, zone })
}

/// What the packet backend cannot do must not be asked of it. An attach mode or a method that is only in the file is for
/// another backend, and stays there unused.
fn check_packet(overrides: &Overrides, belonging: Belonging) -> Result<(), ConfigError> {
    if let Some(attach) = overrides.attach {
        return Err(ConfigError::AttachWithoutEbpf(attach));
    }
    if let Some(method) = overrides.method.and_then(MethodChoice::forced) {
        return Err(ConfigError::MethodWithoutEbpf(method));
    }
    if belonging == Belonging::Acting {
        let is_usage = overrides.owner.is_some() || overrides.backend.is_some();
        return Err(ConfigError::ActingWithoutEbpf { is_usage });
    }
    Ok(())
}

/// Of each list that of the command line, if there is one. Who is in a list of the file may come later: a configuration that
/// is right tomorrow is not wrong today.
fn merge_only(typed: &Only, file: &file::OnlySection) -> Only {
    fn first<T: Clone>(typed: &[T], written: &[T]) -> Vec<T> {
        if typed.is_empty() { written.to_vec() } else { typed.to_vec() }
    }
    Only {
        users: first(&typed.users, &file.users),
        pids: typed.pids.clone(),
        children: typed.children,
        programs: first(&typed.programs, &file.programs),
        units: first(&typed.units, &file.units),
        later_users: typed.later_users || file.later || typed.users.is_empty(),
        later_units: typed.later_units || file.later || typed.units.is_empty(),
    }
}

#[cfg(test)]
mod tests;
