//! Why a command on the book failed.

use std::io;
use std::path::PathBuf;

use crate::answer::AnswerError;
use crate::book::{BookError, Trouble};
use crate::figure::printable;
use crate::service::exit::Exit;

/// Why a command on the book failed.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The book cannot be found or read, or lacks what is named.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The book cannot be written.
    #[error(transparent)]
    Write(BookError),
    /// More than one account has this name or number.
    #[error("{text:?} may be any of {}; name one of them", printed(accounts).join(", "))]
    Ambiguous {
        /// What was typed.
        text: String,
        /// The accounts that may be meant.
        accounts: Vec<String>,
    },
    /// A correction without a class, of a day with classes.
    #[error(
        "the traffic of {date} was counted by class: name the class to correct, as in --class {}, or --class - for what has none",
        printed(classes).join(" or --class ")
    )]
    NoClass {
        /// The day.
        date: jiff::civil::Date,
        /// The classes with traffic on that day.
        classes: Vec<String>,
    },
    /// A correction of 0 bytes.
    #[error("a correction of nothing: give --sent or --received, as in --sent=-5GB")]
    NoChange,
    /// A correction without a reason.
    #[error("a correction needs a --reason of 1 to {0} characters, for the readers of the bill")]
    Reason(usize),
    /// A correction of a day to come.
    #[error("{0} has not begun yet")]
    Future(jiff::civil::Date),
    /// A correction takes away more than there is.
    #[error(
        "{} {what} {counted} bytes on {date}, with all corrections: {change} bytes cannot be taken away",
        printable(user)
    )]
    TooMuch {
        /// The user.
        user: String,
        /// Sent or received.
        what: &'static str,
        /// The day.
        date: jiff::civil::Date,
        /// What was counted, with all corrections.
        counted: i64,
        /// What to take away.
        change: u64,
    },
    /// The days of the book have no zone.
    #[error(
        "the book does not name the time zone of its last service; set book.zone in the configuration, and start the service"
    )]
    NoZone,
    /// A month that is not over.
    #[error("{month} is not over in {zone}; a month can be closed when it is")]
    NotOver {
        /// The month.
        month: String,
        /// The zone of the book's days.
        zone: String,
    },
    /// The last report of a month may still come.
    #[error(
        "the end of {0} is not in the book yet: wait for the next report; if no service runs any more, the month can be closed an hour \
         after its end"
    )]
    NotBooked(String),
    /// A month whose days are all closed.
    #[error("{month} is closed already: {by}")]
    AlreadyClosed {
        /// The month.
        month: String,
        /// The hash of the month, or those of the closed months that have its days.
        by: String,
    },
    /// Reports after this one are no longer kept one by one.
    #[error(
        "reports are kept for 35 days, and the first one that is left is {first}: some after {after} are gone; export without \
         --after, and ask trafcalc report for the days before"
    )]
    Removed {
        /// The report that was asked for.
        after: String,
        /// The first report that is left.
        first: String,
    },
    /// Standard output could not be written.
    #[error("standard output cannot be written: {0}")]
    Output(io::Error),
    /// A file could not be written or read.
    #[error("{}: {doing}: {source}", printable(&path.display().to_string()))]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// Names that are safe for a terminal.
fn printed(names: &[String]) -> Vec<String> {
    names.iter().map(|name| printable(name)).collect()
}

impl From<BookError> for HistoryError {
    fn from(error: BookError) -> Self {
        match error.trouble() {
            Trouble::ReadOnly | Trouble::Locked | Trouble::DiskFull | Trouble::BrokenDisk => Self::Write(error),
            _ => Self::Answer(error.into()),
        }
    }
}

impl HistoryError {
    /// The exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Answer(error) => error.exit(),
            Self::Write(error) if error.trouble() == Trouble::ReadOnly => Exit::Privilege,
            Self::Write(_) | Self::NoZone | Self::NotBooked(_) | Self::Removed { .. } => Exit::Unavailable,
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Exit::Privilege,
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => Exit::Unavailable,
            Self::File { .. } | Self::Output(_) => Exit::OutputLost,
            Self::Ambiguous { .. }
            | Self::NoClass { .. }
            | Self::NoChange
            | Self::Reason(_)
            | Self::Future(_)
            | Self::TooMuch { .. }
            | Self::NotOver { .. }
            | Self::AlreadyClosed { .. } => Exit::Usage,
        }
    }
}
