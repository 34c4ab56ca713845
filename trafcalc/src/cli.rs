//! What the user typed. The only file that knows clap; what it means is decided in [`crate::config`].

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::answer::{self, Each, QuotaRequest};
use crate::capture::{Attach, Belonging, Dimension};
use crate::config::{Backend, Format, MethodChoice, Word};
use crate::history::ExportFormat;

mod alert;
pub mod documents;
mod history;
mod report;
mod run;
mod selftest;

pub use alert::AlertArgs;
pub use history::{CloseArgs, CorrectArgs, HistoryArgs, HistoryCommand};
pub use report::ReportArgs;
pub use run::RunArgs;
pub use selftest::{SelftestArgs, TrafficArgs};

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

    /// Show whether a running service counts all, and what it counts with, its totals, its health and what it costs
    ///
    /// Exits with 0 if all is well, 1 if something was not counted as it should or is refused now, 69 if no service answers.
    Status(StatusArgs),

    /// Show who moves how much now, from a running service
    ///
    /// Needs no privilege: members of the service's group see all users, other users only themselves. If standard output is no terminal,
    /// it prints one table and ends. `NO_COLOR` is respected.
    Top(TopArgs),

    /// Show who moved how much, when, from the book
    ///
    /// Needs no privilege but to read the book, while the service runs or not. Days and hours are those of the book's time
    /// zone. What was not counted is shown below the table.
    Report(Box<ReportArgs>),

    /// Correct a user's traffic of a day, with a reason
    ///
    /// A correction never changes what was measured: `report` adds it to a period that has the whole day, and says so. It works
    /// while the service runs or not. To revert one, make the opposite one.
    Correct(CorrectArgs),

    /// Close a month that is over: nothing is added to it any more
    ///
    /// What comes later for it goes to the next open month, and reports say so. A SHA-256 hash of its rows, which `report` shows
    /// and `history check` compares, proves that they are unchanged.
    Close(CloseArgs),

    /// Check, back up or export the book, or add a log to it
    History(HistoryArgs),

    /// Show how much of each quota is used, and what it will be at the end of its period
    ///
    /// Exits with 1 if one is passed. Quotas are `[[quota]]` in the configuration file.
    Quota(QuotaArgs),

    /// Follow the log, and run a command for each quota that is reached and each gap
    ///
    /// The command is run without a shell, once for each record of type quota or gap, with the fields of the record in its
    /// environment, as `TRAFCALC_QUOTA` and `TRAFCALC_PERCENT`. Needs no privilege but to read the log.
    Alert(AlertArgs),

    /// Show on this kernel that what is counted is what was sent and received
    ///
    /// Every backend and attach mode that starts counts a few megabytes over loopback, in a network namespace of its
    /// own, between user ids that no process has. Exits with 0 only if every difference is 0 bytes. Needs root.
    Selftest(SelftestArgs),

    /// Show what a configuration means on this host, or what is wrong with it, without starting anything
    Check(CheckArgs),

    /// Free what a service kept in a folder (run --keep DIR); its eBPF programs stop counting
    Release(ReleaseArgs),

    /// Have systemd keep a BPF file system for `run --keep systemd`: for the unit, before it starts the service.
    #[command(hide = true)]
    Store,

    /// Write the man pages and the completions, for the package
    #[command(hide = true)]
    Documents(documents::DocumentsArgs),

    /// The traffic of the self-test.
    #[command(hide = true)]
    SelftestTraffic(TrafficArgs),
}

/// The options of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file [default: /etc/trafcalc.toml]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// The same, as other commands have it
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

impl CheckArgs {
    /// The configuration file.
    #[must_use]
    pub fn file(self) -> Option<PathBuf> {
        self.file.or(self.config)
    }
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
    pub config: Option<PathBuf>,

    /// Where the service tells its status [default: as configured, else /run/trafcalc/status.sock]
    #[arg(long, value_name = "PATH", alias = "status-socket")]
    pub socket: Option<PathBuf>,

    /// Print the service's JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// The options of `quota`.
#[derive(Debug, Args)]
pub struct QuotaArgs {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,

    /// The book [default: as configured, else /var/lib/trafcalc/book.db]
    #[arg(long, value_name = "PATH")]
    book: Option<PathBuf>,

    /// Configuration file of the service [default: /etc/trafcalc.toml if present]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl From<QuotaArgs> for QuotaRequest {
    fn from(args: QuotaArgs) -> Self {
        Self { book: args.book, config: args.config, is_json: args.json }
    }
}

/// The options of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Print one table and end
    #[arg(long)]
    pub once: bool,

    /// Print a JSON object with each sample; with --once only one
    #[arg(long)]
    pub json: bool,

    /// Show rates in bit/s
    #[arg(long)]
    pub bits: bool,

    /// Where the service tells its reports [default: as configured, else /run/trafcalc/reports.sock]
    #[arg(long, value_name = "PATH", alias = "reports-socket")]
    pub socket: Option<PathBuf>,

    /// Configuration file of the service [default: /etc/trafcalc.toml if present]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
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

choices!(
    Backend,
    Attach,
    MethodChoice,
    Format,
    Dimension,
    Belonging,
    answer::Dimension,
    Each,
    answer::Format,
    ExportFormat
);

/// Reads the command line.
///
/// # Errors
/// What to print and whether it is an error: help and version come this way, too.
pub fn parse() -> Result<Cli, Complaint> {
    Cli::try_parse().map_err(|error| Complaint(with_hint(error)))
}

/// What each command asks: who typed the option of another is told which one is meant.
const ASKS: &str = "status and top ask the service, at --socket PATH; report, quota, correct, close and history ask the book, --book PATH; \
                    alert follows the log, --log FILE; run has --status-socket, --reports-socket, --book and --log";

/// Adds a tip where an option is one of another command.
fn with_hint(mut error: clap::Error) -> clap::Error {
    let unknown = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) if error.kind() == ErrorKind::UnknownArgument => argument.clone(),
        _ => return error,
    };
    let name = unknown.split('=').next().unwrap_or_default();
    if ["--socket", "--status-socket", "--reports-socket", "--book", "--log"].contains(&name) {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![ASKS.into()]));
    }
    error
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
