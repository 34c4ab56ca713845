//! Why the service did not start, or did not end well, and the exit code for it.

use crate::book::BookError;
use crate::capture::{CaptureError, Declined, Tried};
use crate::identity::wanted::WantedError;
use crate::service::exit::Exit;
use crate::service::keep::KeepError;
use crate::service::privileges::{self, DropError};
use crate::sinks::SinkError;
use crate::status::SocketError;

/// Why the service did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A privilege is missing.
    #[error(transparent)]
    Privilege(#[from] privileges::MissingPrivilege),
    /// Privileges cannot be given up.
    #[error(transparent)]
    Drop(#[from] privileges::DropError),
    /// Somebody is to be counted who is not there.
    #[error(transparent)]
    Wanted(#[from] WantedError),
    /// The book is another's.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] SinkError),
    /// The status socket that was asked for cannot be made.
    #[error(transparent)]
    Status(#[from] SocketError),
    /// The folder that was asked for cannot keep anything.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// It may not have as many files open as it needs.
    #[error(
        "this process may have {limit} files open, and needs up to {needed}: raise the limit (LimitNOFILE= of the unit, or ulimit -n)"
    )]
    Descriptors {
        /// How many it may have open.
        limit: u64,
        /// How many it may need.
        needed: u64,
    },
    /// Each backend that was tried, and why it did not start.
    #[error("no backend could start:{0}")]
    NoBackend(Tried),
    /// The backend could not go on.
    #[error("the backend died: {0}")]
    BackendDied(CaptureError),
    /// The totals did not reach the log.
    #[error("the last report is lost: {0}")]
    LastReportLost(SinkError),
    /// Something that has no reason to fail.
    #[error("{0:#}")]
    Unexpected(#[from] anyhow::Error),
}

impl Failure {
    /// The exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Wanted(_) => Exit::Usage,
            Self::Drop(DropError::NoUser(_) | DropError::Shared(_))
            | Self::Log(_)
            | Self::Book(_)
            | Self::Status(_)
            | Self::Keep(_) => Exit::Config,
            Self::Drop(DropError::Directory { .. }) | Self::Descriptors { .. } => Exit::Unavailable,
            Self::Privilege(_) | Self::Drop(_) => Exit::Privilege,
            Self::NoBackend(Tried(declined)) => match declined.last() {
                // The least demanding one was refused for want of a privilege, so granting it helps.
                Some(Declined { reason: CaptureError::Privilege { .. }, .. }) => Exit::Privilege,
                _ => Exit::Unavailable,
            },
            Self::BackendDied(CaptureError::ThreadEnded(_)) | Self::Unexpected(_) => Exit::Bug,
            Self::BackendDied(_) => Exit::Unavailable,
            Self::LastReportLost(_) => Exit::OutputLost,
        }
    }
}
