//! Asking a running service.

use std::io::{self, ErrorKind, Read as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::service::exit::Exit;

/// The service answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Many times what a service tells.
const MAX_BYTES: u64 = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The socket cannot be connected to.
    #[error("{}: {}: {source}", path.display(), reason(source.kind()))]
    Connect {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The answer did not come, or not as a whole.
    #[error("{}: the service did not answer: {source}", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration says that the service has no socket.
    #[error("the configuration says that there is no status socket")]
    NoSocket,
}

fn reason(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => "only the user and the group of the service may ask it",
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => "no service tells its status there",
        _ => "cannot be connected to",
    }
}

impl AskError {
    /// The exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Connect { source, .. } if source.kind() == ErrorKind::PermissionDenied => Exit::Privilege,
            _ => Exit::Unavailable,
        }
    }
}

/// What the service that listens at `path` tells, as it tells it and as a value.
pub fn ask(path: &Path) -> Result<(String, serde_json::Value), AskError> {
    let unread = |source| AskError::Read { path: path.to_owned(), source };
    let socket = UnixStream::connect(path).map_err(|source| AskError::Connect { path: path.to_owned(), source })?;
    let mut text = String::new();
    socket
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| socket.take(MAX_BYTES).read_to_string(&mut text))
        .map_err(unread)?;
    let value = serde_json::from_str(&text).map_err(|error| unread(error.into()))?;
    Ok((text, value))
}
