//! Asking a running service.

use std::io::{self, ErrorKind, Read as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Status;
use super::table::printable;
use crate::service::exit::Exit;

/// The service answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Many times the size of an answer.
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
    /// The answer did not come, or was incomplete.
    #[error("{}: the service did not answer: {source}", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The answer is from another version, or from another program.
    #[error(
        "{}: the answer is not understood ({source}): {}, and this is trafcalc {}; ask with the service's own version",
        path.display(),
        said_version(version.as_deref()),
        env!("CARGO_PKG_VERSION")
    )]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// The version in the answer.
        version: Option<String>,
        /// What is not understood.
        source: serde_json::Error,
    },
    /// The service refused this client.
    #[error("{}: the service says: {why}", path.display())]
    Refused {
        /// Where.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The configuration says that the service has no such socket.
    #[error("the configuration says that there is no {0} socket")]
    NoSocket(&'static str),
}

fn reason(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => "only the user and the group of the service may ask it",
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            "no service tells anything there; does one run (systemctl status trafcalc)? It may tell elsewhere (--config FILE, or --socket PATH)"
        }
        _ => "cannot be connected to",
    }
}

fn said_version(version: Option<&str>) -> String {
    version.map_or_else(
        || "it may be of another version of the service".to_owned(),
        |version| format!("it is of a service of trafcalc {}", printable(version)),
    )
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

/// Asks the service that listens at `path`; returns its answer as text and as a value.
pub fn ask(path: &Path) -> Result<(String, Status), AskError> {
    let unread = |source| AskError::Read { path: path.to_owned(), source };
    let socket = UnixStream::connect(path).map_err(|source| AskError::Connect { path: path.to_owned(), source })?;
    let mut text = String::new();
    socket
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| socket.take(MAX_BYTES).read_to_string(&mut text))
        .map_err(unread)?;
    let status = read(path, &text)?;
    Ok((text, status))
}

/// Parses an answer of this version of the program or an older one.
fn read(path: &Path, text: &str) -> Result<Status, AskError> {
    serde_json::from_str(text).map_err(|source| {
        // An incomplete answer does not tell its version.
        if source.is_eof() {
            return AskError::Read { path: path.to_owned(), source: source.into() };
        }
        let fields: Option<serde_json::Value> = serde_json::from_str(text).ok();
        let version = fields.and_then(|fields| fields["version"].as_str().map(str::to_owned));
        AskError::Unreadable { path: path.to_owned(), version, source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer of a service without `privileges`, `loop_longest_wait_ms` and `report_interval_s`.
    const OLDER: &str = r#"{"version":"0.0.9","pid":7,"cpu_s":0.5,"resident_bytes":1024,"age_s":3.2,"log":{"waiting":0,"errors_total":0},
        "summary":{"type":"summary","time":"2026-11-23T07:55:48.000Z","epoch":7,"seq":3,"since":"2026-11-23T07:55:36.412Z",
        "interval_s":10.0,"backend":"ebpf","attach":"fentry","accounts":1,"sent_bytes":1,"received_bytes":2,"sent_bytes_total":3,
        "received_bytes_total":4,"late_connections_total":2}}"#;

    #[test]
    fn an_older_service_is_understood() {
        let status = read(Path::new("socket"), OLDER).unwrap();
        assert_eq!((status.pid, status.summary.received_bytes_total, status.privileges.as_str()), (7, 4, ""));
        assert!(super::super::table(&status).starts_with("well: all is counted\n"));
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_version() {
        let newer = OLDER.replace("0.0.9", "9.0.0").replace("\"sent_bytes_total\"", "\"moved\"");
        let error = read(Path::new("socket"), &newer).unwrap_err().to_string();
        assert!(error.contains("service of trafcalc 9.0.0") && error.contains(env!("CARGO_PKG_VERSION")), "{error}");
        let error = read(Path::new("socket"), "[1]").unwrap_err().to_string();
        assert!(error.contains("another version"), "{error}");
        let error = read(Path::new("socket"), &OLDER[..99]).unwrap_err().to_string();
        assert!(error.contains("did not answer"), "{error}");
    }
}
