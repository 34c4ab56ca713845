//! The options of the commands that maintain the book: `correct`, `close`, `history`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::answer::{Day, Month};
use crate::book::Change;
use crate::config;
use crate::history::{After, BookOf, Correct, ExportFormat};

/// Selects the book.
#[derive(Debug, Args)]
struct BookArgs {
    /// The book [default: as configured, else /var/lib/trafcalc/book.db]
    #[arg(long, value_name = "PATH")]
    book: Option<PathBuf>,

    /// Configuration file of the service [default: /etc/trafcalc.toml if present]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl From<BookArgs> for BookOf {
    fn from(args: BookArgs) -> Self {
        Self { book: args.book, config: args.config }
    }
}

/// The options of `correct`.
#[derive(Debug, Args)]
pub struct CorrectArgs {
    /// The user
    #[arg(long, value_name = "NAME|UID")]
    user: String,

    /// The class of networks; - for traffic that was counted without one; needed if the day has classes
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    class: Option<String>,

    /// The day: today, yesterday, or a date
    #[arg(long, value_name = "DAY")]
    day: Day,

    /// Change of the sent bytes, as --sent=-5GB or --sent=+1000
    #[arg(long, value_name = "±BYTES", default_value = "0", value_parser = change, allow_hyphen_values = true)]
    sent: i64,

    /// Change of the received bytes
    #[arg(long, value_name = "±BYTES", default_value = "0", value_parser = change, allow_hyphen_values = true)]
    received: i64,

    /// The reason, for the readers of the bill
    #[arg(long, value_name = "TEXT")]
    reason: String,

    #[command(flatten)]
    book: BookArgs,
}

impl From<CorrectArgs> for Correct {
    fn from(args: CorrectArgs) -> Self {
        let CorrectArgs { user, class, day, sent, received, reason, book } = args;
        Self { book: book.into(), user, class, day, change: Change { sent, received }, reason }
    }
}

/// More bytes than a link of 100 Gbit/s moves in a day, so that sums of corrections fit.
const MAX_CHANGE: i64 = 1_000_000_000_000_000;

fn change(text: &str) -> Result<i64, String> {
    let (sign, amount) = match text.strip_prefix('-') {
        Some(amount) => (-1, amount),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let amount = config::bytes(amount).and_then(|amount| i64::try_from(amount).ok());
    let amount = amount.filter(|amount| *amount <= MAX_CHANGE);
    amount
        .map(|amount| sign * amount)
        .ok_or_else(|| format!("{text:?} is not an amount such as -5GB or +1000, up to 1PB"))
}

/// The options of `close`.
#[derive(Debug, Args)]
pub struct CloseArgs {
    /// The month, by the book's time zone and billing day: last, or a month such as 2026-10
    #[arg(long, value_name = "MONTH")]
    pub month: Month,

    #[command(flatten)]
    book: BookArgs,
}

impl From<CloseArgs> for (BookOf, Month) {
    fn from(args: CloseArgs) -> Self {
        (args.book.into(), args.month)
    }
}

/// The options of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// What to do
    #[command(subcommand)]
    pub what: HistoryCommand,
}

/// The maintenance commands of the book.
#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// Check the book, and that closed months are unchanged; exits with 1 if something is wrong
    Check(HistoryBookArgs),

    /// Copy the current state of the book, whether the service runs or not
    Backup(BackupArgs),

    /// Write everything since a report: reports, their rows of five minutes, gaps, corrections, closed months
    ///
    /// The last record, `next`, names the report to continue from. A row of five minutes that is exported again replaces the earlier one.
    Export(ExportArgs),

    /// Import a log of the time before the book was begun
    ImportLog(ImportLogArgs),
}

/// The options of `history export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The report that was exported last [default: export all reports in the book, which keeps them for 35 days]
    #[arg(long, value_name = "EPOCH/SEQ")]
    pub after: Option<After>,

    /// The format of records
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub format: ExportFormat,

    #[command(flatten)]
    book: BookArgs,
}

impl ExportArgs {
    /// Selects the book.
    #[must_use]
    pub fn book(self) -> BookOf {
        self.book.into()
    }
}

/// The options of `history import-log`.
#[derive(Debug, Args)]
pub struct ImportLogArgs {
    /// The log, in either format
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    book: BookArgs,
}

impl From<ImportLogArgs> for (BookOf, PathBuf) {
    fn from(args: ImportLogArgs) -> Self {
        (args.book.into(), args.file)
    }
}

/// The options of `history check`.
#[derive(Debug, Args)]
pub struct HistoryBookArgs {
    #[command(flatten)]
    book: BookArgs,
}

impl From<HistoryBookArgs> for BookOf {
    fn from(args: HistoryBookArgs) -> Self {
        args.book.into()
    }
}

/// The options of `history backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The copy to create; the file must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    book: BookArgs,
}

impl From<BackupArgs> for (BookOf, PathBuf) {
    fn from(args: BackupArgs) -> Self {
        (args.book.into(), args.file)
    }
}
