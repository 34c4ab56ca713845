//! The command line. Only this file and `cli/` know clap; [`crate::config`] decides what the options mean.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::answer::{self, Each, QuotaRequest};
use crate::capture::{Attach, CreditTo, Dimension};
use crate::config::{Backend, Choice, Format, MethodChoice};
use crate::history::ExportFormat;

mod alert;
pub mod documents;
mod exporter;
mod history;
mod report;
mod run;
mod selftest;
mod ship;

pub use alert::AlertArgs;
pub use exporter::ExporterArgs;
pub use history::{CloseArgs, CorrectArgs, HistoryArgs, HistoryCommand};
pub use report::ReportArgs;
pub use run::RunArgs;
pub use selftest::{SelftestArgs, TrafficArgs};
pub use ship::ShipArgs;

/// Counts the TCP payload that each user of this host sends and receives, to the byte.
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
    /// Count, and write a report every interval, until stopped
    ///
    /// Signals: TERM and INT write a last report and exit, USR1 writes a report at once, HUP reopens the log.
    #[command(args_override_self = true)]
    Run(Box<RunArgs>),

    /// Show whether a running service counts everything, how it counts, its totals, its health and its cost
    ///
    /// Exits with 0 if all is well, 1 if there is a problem (something was not counted, or the log or book cannot be written), and 69 if no
    /// service answers.
    Status(StatusArgs),

    /// Show how much each user moves now, from a running service
    ///
    /// Needs no privilege: root and members of the service's group see all users, other users see only themselves. If standard output is
    /// not a terminal, prints one table and exits. `NO_COLOR` is respected.
    Top(TopArgs),

    /// Show how much each user moved in a period, from the book
    ///
    /// Needs no privilege except permission to read the book. Works whether the service runs or not. Days and hours are those of the
    /// book's time zone. Times that were not counted are listed below the table.
    Report(Box<ReportArgs>),

    /// Correct a user's traffic on one day, with a reason
    ///
    /// A correction never changes the measured figures: `report` adds it to a period that has the whole day, and lists it. Works whether
    /// the service runs or not. To revert a correction, make the opposite one.
    Correct(CorrectArgs),

    /// Close a month that is over: nothing is added to it any more
    ///
    /// Later bytes and corrections for it go to the next open month, and reports say so. Closing cannot be undone. A SHA-256 hash of the
    /// month's rows, which `report` shows and `history check` compares, proves that they are unchanged.
    Close(CloseArgs),

    /// Check, back up or export the book, or import a log
    History(HistoryArgs),

    /// Show how much of each quota is used, and an estimate for the end of its period
    ///
    /// Exits with 1 if a quota is passed. Quotas are `[[quota]]` in the configuration file.
    Quota(QuotaArgs),

    /// Follow the log, and run a command for each step of a quota that is reached and for each gap
    ///
    /// The command is run without a shell, once for each record of type quota or gap. The fields of the record are in its environment, for
    /// example `TRAFCALC_QUOTA` and `TRAFCALC_PERCENT`. Needs no privilege except permission to read the log.
    Alert(AlertArgs),

    /// Export the totals of the book to Prometheus, by HTTP or in a file
    ///
    /// Totals are those since the book was begun, so a restart does not reset them. Needs no privilege except permission to read the book,
    /// which members of the service's group have. For TLS and authentication use a reverse proxy.
    Exporter(ExporterArgs),

    /// Hand what is new in the book to a command that puts it into a database of many hosts
    ///
    /// The command gets rows on standard input, one JSON object per line, and accepts them by exiting with 0; otherwise it gets them again.
    /// Each row has the total of an account in an hour, so repeated rows do no harm. Needs no privilege except permission to read the book,
    /// which members of the service's group have.
    Ship(ShipArgs),

    /// Prove on this kernel that the counts are exact
    ///
    /// Every backend and attach mode that starts counts a few megabytes over loopback, in a network namespace of its own, between user
    /// ids that no process has. Exits with 0 only if every difference is 0 bytes. Needs root.
    Selftest(SelftestArgs),

    /// Explain what a configuration means on this host, or what is wrong with it, without starting anything
    Check(CheckArgs),

    /// Free the eBPF programs and counters that a service kept in a folder (run --keep DIR); they stop counting
    Release(ReleaseArgs),

    /// Have systemd keep a BPF file system for `run --keep systemd`. The unit calls it before it starts the service.
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

    /// The same as FILE, for consistency with other commands
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
    /// The folder that was given to run --keep
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// The options of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Configuration file of the service [default: /etc/trafcalc.toml if present]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Status socket of the service [default: as configured, else /run/trafcalc/status.sock]
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
    /// Print one table and exit
    #[arg(long)]
    pub once: bool,

    /// Print a JSON object for each sample; with --once only one
    #[arg(long)]
    pub json: bool,

    /// Show rates in bit/s
    #[arg(long)]
    pub bits: bool,

    /// Reports socket of the service [default: as configured, else /run/trafcalc/reports.sock]
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
                <Self as Choice>::ALL
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
    CreditTo,
    answer::Dimension,
    Each,
    answer::Format,
    ExportFormat
);

/// Reads the command line.
///
/// # Errors
/// What to print, and whether it is an error. Help and version are returned in this way, too.
pub fn parse() -> Result<Cli, Complaint> {
    Cli::try_parse().map_err(|error| Complaint(with_hint(error)))
}

/// The data source of each command: the tip for a user who typed the option of another command.
const ASKS: &str = "status and top ask the service, at --socket PATH; report, quota, correct, close, history, exporter and \
                    ship ask the book, --book PATH; alert follows the log, --log FILE; run has --status-socket, --reports-socket, --book and --log";

/// Adds a tip if the option belongs to another command.
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

/// A message to print instead of running the command.
#[derive(Debug)]
pub struct Complaint(clap::Error);

impl Complaint {
    /// Prints it: help to standard output, errors to standard error.
    pub fn print(&self) {
        // A failure to print this cannot be reported anywhere else.
        let _ = self.0.print();
    }

    /// Whether it is an error; help and version are not.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.0.use_stderr()
    }
}
