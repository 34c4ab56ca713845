//! What the user typed. The only file that knows clap; what it means is decided in [`crate::config`].

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, PossibleValue, RangedI64ValueParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use jiff::tz::TimeZone;

use crate::answer::{self, Asked, Day, Each, Moment, Month, Question, Request};
use crate::capture::{Attach, Belonging, Dimension};
use crate::config::{Backend, Format, Interval, Keep, LastPart, MethodChoice, Only, Overrides, Pid, RunTime, Word};
use crate::selftest;

/// Counts the TCP payload that each user of this host sent and received, to the byte.
#[derive(Debug, Parser)]
#[command(name = "trafcalc", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Count, and report every interval, until stopped
    ///
    /// Signals: TERM and INT end with a last report, USR1 reports at once, HUP reopens the log.
    #[command(args_override_self = true)]
    Run(Box<RunArgs>),

    /// Show what a running service counts with, since when, its totals, its health and what it costs
    Status(StatusArgs),

    /// Show who moved how much, when, from the book
    ///
    /// Needs no privilege but to read the book, while the service runs or not. Days and hours are those of the book's time
    /// zone. What was not counted is shown below the table.
    Report(Box<ReportArgs>),

    /// Show on this kernel that what is counted is what was sent and received
    ///
    /// Every backend and attach mode that starts counts a few megabytes over loopback, in a network namespace of its
    /// own, between users whom nobody else is. Exits with 0 only if every difference is 0 bytes. Needs root.
    Selftest(SelftestArgs),

    /// Free what a service kept in a folder (run --keep DIR): its programs count no longer
    Release(ReleaseArgs),

    /// Have systemd keep a BPF file system for `run --keep systemd`: for the unit, before it starts the service.
    #[command(hide = true)]
    Store,

    /// The traffic of the self-test.
    #[command(hide = true)]
    SelftestTraffic(TrafficArgs),
}

/// The options of `release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// The options of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Configuration file of the service [default: /etc/trafcalc.toml if present]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where the service tells its status [default: as configured, else /run/trafcalc/status.sock]
    #[arg(long, value_name = "PATH")]
    pub status_socket: Option<PathBuf>,

    /// Print the service's JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

impl From<StatusArgs> for Overrides {
    fn from(args: StatusArgs) -> Self {
        Self { config: args.config, status_socket: args.status_socket, ..Self::default() }
    }
}

/// The options of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// What rows are told apart by, several as in user,unit [default: user]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    by: Vec<answer::Dimension>,

    #[command(flatten)]
    period: PeriodArgs,

    /// Cut the period into parts, with rows for each
    #[arg(long, value_name = "PART")]
    each: Option<Each>,

    /// This user only, or one of these
    #[arg(long = "user", value_name = "NAME|UID")]
    users: Vec<String>,

    /// This systemd unit or container only, or one of these
    #[arg(long = "unit", value_name = "NAME")]
    units: Vec<String>,

    /// This program only, or one of these
    #[arg(long = "program", value_name = "NAME")]
    programs: Vec<String>,

    /// Tell only the N who moved the most one by one, and the others as one
    #[arg(long, value_name = "N", value_parser = RangedI64ValueParser::<u32>::new().range(1..))]
    top: Option<u32>,

    /// Day on which months begin, 1 to 28
    #[arg(long, value_name = "DAY", default_value = "1", value_parser = value_parser!(i8).range(1..=28))]
    billing_day: i8,

    /// Time zone of days and hours; another than the book's only as far back as it has five minutes [default: the book's]
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    zone: Option<TimeZone>,

    /// Tell also the rate in bit/s that so many percent of all five minutes do not exceed, 1 to 99
    #[arg(long, value_name = "PERCENT", value_parser = value_parser!(u8).range(1..=99))]
    percentile: Option<u8>,

    /// Tell also what the period will have when it is over, if it goes on as it did while it was counted
    #[arg(long, conflicts_with = "each")]
    estimate: bool,

    /// How the answer is shown
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: answer::Format,

    /// Show exact figures in a table
    #[arg(long)]
    bytes: bool,

    /// The book [default: as configured, else /var/lib/trafcalc/book.db]
    #[arg(long, value_name = "PATH")]
    book: Option<PathBuf>,

    /// Configuration file of the service [default: /etc/trafcalc.toml if present]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The time that is asked about: one of these, or this month.
#[derive(Debug, Args)]
struct PeriodArgs {
    /// This month, from its billing day to that of the next [default: the month that is not over]
    #[arg(long, value_name = "YYYY-MM", conflicts_with_all = ["day", "from", "last", "since"])]
    month: Option<Month>,

    /// This day: today, yesterday, or a date
    #[arg(long, value_name = "DAY", conflicts_with_all = ["from", "last", "since"])]
    day: Option<Day>,

    /// From this moment on: a day (its beginning), as 2026-11-03 or yesterday; or one with a time, as "yesterday 22:00"
    #[arg(long, value_name = "MOMENT", requires = "to", conflicts_with_all = ["last", "since"])]
    from: Option<Moment>,

    /// Up to this moment; a day is not in the period, as it means its beginning
    #[arg(long, value_name = "MOMENT", requires = "from")]
    to: Option<Moment>,

    /// Up to now, for so long, as 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, conflicts_with = "since")]
    last: Option<Duration>,

    /// From this moment to now
    #[arg(long, value_name = "MOMENT")]
    since: Option<Moment>,
}

impl From<PeriodArgs> for Asked {
    fn from(args: PeriodArgs) -> Self {
        match args {
            PeriodArgs { month: Some(month), .. } => Self::Month(month),
            PeriodArgs { day: Some(day), .. } => Self::Day(day),
            PeriodArgs { from: Some(from), to: Some(to), .. } => Self::Between(from, to),
            PeriodArgs { since: Some(since), .. } => Self::Between(since, Moment::Now),
            PeriodArgs { last: Some(length), .. } => Self::Last(length),
            _ => Self::ThisMonth,
        }
    }
}

impl From<ReportArgs> for Request {
    fn from(args: ReportArgs) -> Self {
        let mut by = Vec::new();
        for dimension in args.by {
            if !by.contains(&dimension) {
                by.push(dimension);
            }
        }
        if by.is_empty() {
            by.push(answer::Dimension::User);
        }
        let question = Question {
            by,
            asked: args.period.into(),
            each: args.each,
            only: answer::Only { users: args.users, units: args.units, programs: args.programs },
            top: args.top.map(|top| usize::try_from(top).unwrap_or(usize::MAX)),
            billing_day: args.billing_day,
            zone: args.zone,
            percentile: args.percentile,
            is_estimated: args.estimate,
        };
        Self { book: args.book, config: args.config, question, format: args.format, is_exact: args.bytes }
    }
}

fn zone(name: &str) -> Result<TimeZone, String> {
    // jiff takes Etc/Unknown for a name.
    let known = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown());
    known.ok_or_else(|| format!("{name:?} is no time zone such as Europe/Vienna"))
}

/// The options of `selftest`.
#[derive(Debug, Args)]
pub struct SelftestArgs {
    /// Which backend is tested [default: auto, each that starts]
    #[arg(long, value_name = "BACKEND")]
    pub backend: Option<Backend>,

    /// Which attach mode of the eBPF backend is tested [default: each that attaches]
    #[arg(long, value_name = "MODE")]
    pub attach: Option<Attach>,

    /// When the eBPF program looks at connections: before each report, or at each event [default: auto]
    #[arg(long, value_name = "METHOD")]
    pub method: Option<MethodChoice>,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// The hidden options of the self-test's traffic.
#[derive(Debug, Args)]
pub struct TrafficArgs {
    /// Name of the scenario
    scenario: String,
    /// The user to be
    uid: u32,
    /// How long it keeps each connection beyond its bytes
    hold_ms: u64,
    /// Which end
    #[command(subcommand)]
    role: TrafficRole,
}

/// Which end of the self-test's connections.
#[derive(Clone, Copy, Debug, Subcommand)]
enum TrafficRole {
    /// Connects and sends
    Send {
        /// Where the receiver listens
        port: u16,
    },
    /// Listens and receives
    Receive,
}

impl From<TrafficArgs> for selftest::Program {
    fn from(args: TrafficArgs) -> Self {
        let role = match args.role {
            TrafficRole::Send { port } => selftest::Role::Send { port },
            TrafficRole::Receive => selftest::Role::Receive,
        };
        Self { scenario: args.scenario, role, uid: args.uid, hold_ms: args.hold_ms }
    }
}

/// The options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration file [default: /etc/trafcalc.toml if present]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where bytes are counted [default: auto, the first that starts]
    #[arg(long, value_name = "BACKEND")]
    backend: Option<Backend>,

    /// How the eBPF program is hooked in [default: the first that attaches]
    #[arg(long, value_name = "MODE")]
    attach: Option<Attach>,

    /// When the eBPF program looks at connections: before each report, or at each event [default: auto]
    #[arg(long, value_name = "METHOD")]
    method: Option<MethodChoice>,

    /// Time between two reports, 100ms to 1d [default: 1m]
    #[arg(long, value_name = "TIME")]
    interval: Option<Interval>,

    /// Stop after this time, with a last report [default: run until stopped]
    #[arg(long, value_name = "TIME")]
    duration: Option<RunTime>,

    /// File that reports are appended to; - is standard output [default: /var/log/traffic]
    #[arg(long, value_name = "PATH")]
    log: Option<PathBuf>,

    /// How reports are written [default: logfmt]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// File in which the accounts are kept; none: nowhere [default: /var/lib/trafcalc/book.db, and none with --log -]
    #[arg(long, value_name = "PATH")]
    book: Option<PathBuf>,

    /// Where the status is told; empty: nowhere [default: /run/trafcalc/status.sock]
    #[arg(long, value_name = "PATH", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    status_socket: Option<PathBuf>,

    /// Go on counting when the service ends, for the next one: systemd, or a folder of a BPF file system [default: nobody; the count ends]
    #[arg(long, value_name = "systemd|DIR")]
    keep: Option<Keep>,

    /// Count connections whose both ends are on this host, too
    #[arg(long)]
    loopback: bool,

    /// What accounts are told apart by, several as in program,unit; always by user, too [default: user]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    by: Vec<Dimension>,

    /// Which user's bytes are: the socket's, or as whom a process acts [default: socket]
    #[arg(long, value_name = "WHOSE")]
    owner: Option<Belonging>,

    #[command(flatten)]
    only: OnlyArgs,
}

/// Whose traffic is counted: options that may be given several times.
#[derive(Debug, Args)]
struct OnlyArgs {
    /// Count this user only, or one of these
    #[arg(long = "user", value_name = "NAME|UID")]
    users: Vec<String>,

    /// Count this process only, or one of these
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<Pid>,

    /// With --pid: its children and theirs, too
    #[arg(long)]
    children: bool,

    /// Count this program only, or one of these
    #[arg(long = "program", value_name = "NAME")]
    programs: Vec<LastPart>,

    /// Count this systemd unit or container only, or one of these
    #[arg(long = "unit", value_name = "NAME")]
    units: Vec<LastPart>,

    /// With --user and --unit: wait for those that are not there yet, as for those in the configuration file
    #[arg(long)]
    later: bool,
}

impl From<OnlyArgs> for Only {
    fn from(args: OnlyArgs) -> Self {
        let OnlyArgs { users, pids, children, programs, units, later } = args;
        Self { users, pids, children, programs, units, later_users: later, later_units: later }
    }
}

impl From<RunArgs> for Overrides {
    fn from(args: RunArgs) -> Self {
        let RunArgs {
            config,
            backend,
            attach,
            method,
            interval,
            duration,
            log,
            format,
            book,
            status_socket,
            keep,
            loopback,
            by,
            owner,
            only,
        } = args;
        let only = only.into();
        Self {
            config,
            backend,
            attach,
            method,
            interval,
            duration,
            log,
            format,
            book,
            status_socket,
            keep,
            loopback,
            by,
            owner,
            only,
        }
    }
}

macro_rules! choices {
    ($($choice:ty),*) => {$(
        impl ValueEnum for $choice {
            fn value_variants<'a>() -> &'a [Self] {
                <Self as Word>::ALL
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                Some(PossibleValue::new(self.word()))
            }
        }
    )*};
}

choices!(Backend, Attach, MethodChoice, Format, Dimension, Belonging, answer::Dimension, Each, answer::Format);

/// Reads the command line.
///
/// # Errors
/// What to print and whether it is an error: help and version come this way, too.
pub fn parse() -> Result<Cli, Complaint> {
    Cli::try_parse().map_err(Complaint)
}

/// Something to tell the user instead of doing what he asked.
#[derive(Debug)]
pub struct Complaint(clap::Error);

impl Complaint {
    /// Prints it: help to standard output, errors to standard error.
    pub fn print(&self) {
        // Nobody is left to tell when even that fails.
        let _ = self.0.print();
    }

    /// Whether it is an error; help and version are none.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.0.use_stderr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_filter_given_twice_both_count() {
        let words =
            ["trafcalc", "run", "--user=a", "--pid", "7", "--user", "b", "--program=c", "--unit=d", "--children"];
        let Ok(Cli { command: Command::Run(args) }) = Cli::try_parse_from(words) else { panic!("was refused") };
        let only = Overrides::from(*args).only;
        assert_eq!(only.users, ["a", "b"]);
        assert_eq!(only.pids.iter().map(|pid| pid.get()).collect::<Vec<_>>(), [7]);
        assert!(only.children);
    }

    #[test]
    fn what_accounts_are_told_apart_by_is_a_list() {
        for words in [&["--by=unit,program"][..], &["--by", "unit", "--by", "program"]] {
            let words = ["trafcalc", "run"].iter().chain(words);
            let Ok(Cli { command: Command::Run(args) }) = Cli::try_parse_from(words) else { panic!("was refused") };
            assert_eq!(Overrides::from(*args).by, [Dimension::Unit, Dimension::Program]);
        }
        for by in ["--by=", "--by=unit,", "--by=unit,colour"] {
            assert!(Cli::try_parse_from(["trafcalc", "run", by]).is_err(), "{by}");
        }
    }

    #[test]
    fn the_status_can_be_told_nowhere() {
        let words = ["trafcalc", "run", "--status-socket", ""];
        let Ok(Cli { command: Command::Run(args) }) = Cli::try_parse_from(words) else { panic!("was refused") };
        assert_eq!(Overrides::from(*args).status_socket, Some(PathBuf::new()));
    }

    #[test]
    fn of_an_option_given_twice_the_last_one_counts() {
        let words = ["trafcalc", "run", "--interval", "1s", "--log", "-", "--interval=5s", "--log", "/a"];
        let Ok(Cli { command: Command::Run(args) }) = Cli::try_parse_from(words) else { panic!("was refused") };
        let overrides = Overrides::from(*args);
        assert_eq!(overrides.interval, "5s".parse().ok());
        assert_eq!(overrides.log, Some("/a".into()));
    }
}
