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
    /// Privileges could not be given up.
    #[error(transparent)]
    Drop(#[from] privileges::DropError),
    /// The settings name a user or process that does not exist.
    #[error(transparent)]
    Wanted(#[from] WantedError),
    /// The book cannot be used.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] SinkError),
    /// A socket that was asked for cannot be made.
    #[error(transparent)]
    Status(#[from] SocketError),
    /// The folder for pinned programs cannot be used.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The limit of open files is too low.
    #[error(
        "this process may have {limit} files open, and needs up to {needed}: raise the limit (LimitNOFILE= of the unit, or ulimit -n)"
    )]
    Descriptors {
        /// The limit.
        limit: u64,
        /// How many the service may need.
        needed: u64,
    },
    /// Each backend that was tried, and why it did not start.
    #[error("no backend could start:{0}")]
    NoBackend(Tried),
    /// The running backend failed.
    #[error("the backend died: {0}")]
    BackendDied(CaptureError),
    /// The last report did not reach the log.
    #[error("the last report is lost: {0}")]
    LastReportLost(SinkError),
    /// An error that is not expected.
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
                // The last backend that was tried needs the least. It lacks a privilege, so granting that helps.
                Some(Declined { reason: CaptureError::Privilege { .. }, .. }) => Exit::Privilege,
                _ => Exit::Unavailable,
            },
            Self::BackendDied(CaptureError::ThreadEnded(_)) | Self::Unexpected(_) => Exit::Bug,
            Self::BackendDied(_) => Exit::Unavailable,
            Self::LastReportLost(_) => Exit::OutputLost,
        }
    }
}
