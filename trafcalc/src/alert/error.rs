//! Why `alert` fails.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::config::ConfigError;
use crate::service::exit::Exit;

/// Why `alert` fails.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// The configuration, which names the log, is wrong or unreadable.
    #[error("{0}; --log FILE needs no configuration")]
    Config(#[from] ConfigError),
    /// The service writes to standard output.
    #[error("the configuration names no file for the log; name one with --log FILE")]
    NoLog,
    /// The log cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Standard input cannot be read.
    #[error("standard input cannot be read: {0}")]
    Input(io::Error),
    /// The state file cannot be used.
    #[error("{}: {doing}: {source}", path.display())]
    State {
        /// The state file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// There is no such command.
    #[error("{}: is no program that this user may run", .0.display())]
    Command(PathBuf),
}

impl AlertError {
    pub(super) fn log(path: &Path, source: io::Error) -> Self {
        Self::Log { path: path.to_owned(), source }
    }

    /// The exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::NoLog => Exit::Config,
            Self::Command(_) => Exit::Usage,
            Self::Log { source, .. } | Self::State { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                Exit::Privilege
            }
            Self::Log { .. } | Self::Input(_) => Exit::Unavailable,
            Self::State { .. } => Exit::OutputLost,
        }
    }
}
