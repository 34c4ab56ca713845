//! Why nothing can be shipped.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::answer::AnswerError;
use crate::book::BookError;
use crate::command::{Command, Outcome};
use crate::figure::printable;
use crate::service::exit::Exit;

/// Why nothing can be shipped.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// The book cannot be read, or the configuration does not say where it is.
    #[error(transparent)]
    Book(#[from] AnswerError),
    /// The host has no identity.
    #[error("/etc/machine-id, which identifies this host: {0}; identify it with --host ID")]
    NoHost(io::Error),
    /// The command does not exist or may not be executed.
    #[error("{}: is no executable file", printable(&.0.display().to_string()))]
    NoCommand(PathBuf),
    /// Another process ships with the same state.
    #[error("{}: another process ships with this state; name another folder with --state", printable(&.0.display().to_string()))]
    InUse(PathBuf),
    /// The book was replaced by an older one.
    #[error(
        "{}: the book has less than was shipped of it: an older copy has taken its place. Delete the rows of this host with book = {book} \
         from the database, remove state.json, and start again",
        printable(&.0.display().to_string()), book = .1
    )]
    OlderBook(PathBuf, i64),
    /// A day of the book is in no known zone.
    #[error(
        "the book names no time zone that is known here; set book.zone in the configuration, and restart the service"
    )]
    NoZone,
    /// Rows cannot be written.
    #[error("rows cannot be written: {0}")]
    Rows(#[from] io::Error),
    /// The state or a batch cannot be written or read.
    #[error("{}: {doing}: {source}", printable(&path.display().to_string()))]
    State {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The command did not accept a batch.
    #[error("{command} {outcome}: it has not accepted the rows")]
    NotAccepted {
        /// The command.
        command: Command,
        /// How it ended.
        outcome: Outcome,
    },
}

impl From<BookError> for ShipError {
    fn from(error: BookError) -> Self {
        Self::Book(error.into())
    }
}

impl ShipError {
    /// Whether another try may succeed without a change by the administrator.
    pub(super) const fn is_temporary(&self) -> bool {
        matches!(self, Self::NotAccepted { .. } | Self::Book(_) | Self::State { .. } | Self::Rows(_))
    }

    /// The exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Book(error) => error.exit(),
            Self::NoCommand(_) => Exit::Usage,
            Self::State { source, .. } if source.kind() == ErrorKind::PermissionDenied => Exit::Privilege,
            Self::State { .. } | Self::Rows(_) | Self::NotAccepted { .. } => Exit::OutputLost,
            Self::NoHost(_) | Self::InUse(_) | Self::OlderBook(..) => Exit::Unavailable,
            Self::NoZone => Exit::Config,
        }
    }
}
