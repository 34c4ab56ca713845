//! Why nothing is exported.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::book::BookError;
use crate::config::ConfigError;
use crate::service::exit::Exit;

/// Why nothing is exported.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// The configuration, which names the book and the quotas, is wrong or may not be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Without a book there are no totals that outlast the service.
    #[error("the configuration says that no book is kept; the exporter needs one, see book.path")]
    NoBookKept,
    /// Binding to the address failed.
    #[error("{address}: cannot listen: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The host has no identity.
    #[error("/etc/machine-id, which identifies this host to a collector: {0}")]
    NoHost(io::Error),
    /// The file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl ExporterError {
    /// The exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::NoBookKept => Exit::Config,
            Self::Listen { source, .. } | Self::Write { source, .. }
                if source.kind() == ErrorKind::PermissionDenied =>
            {
                Exit::Privilege
            }
            Self::Listen { .. } | Self::NoHost(_) => Exit::Unavailable,
            Self::Write { .. } => Exit::OutputLost,
        }
    }
}

/// Why there are no metrics now.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoMetrics {
    /// The book cannot be read, or does not exist yet.
    #[error("the book cannot be read: {0}")]
    Book(#[from] BookError),
    /// Without its health, zeros would say that all is well.
    #[error("the health of the last report in the book cannot be read: {0}")]
    Health(#[from] serde_json::Error),
}
