//! Metrics in a file, for the textfile collector of `node_exporter`.

use std::convert::Infallible;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::text::TextFormat;
use super::{Exporter, ExporterError};

/// Time between two checks whether the book has a new report.
const POLL: Duration = Duration::from_secs(1);

/// Rewrites `path` with each report until the process is killed. Waits for a book that cannot be read yet.
pub(super) fn write(path: &Path, mut exporter: Exporter) -> Result<Infallible, ExporterError> {
    let mut complaint = String::new();
    loop {
        match exporter.renew() {
            Ok(true) => {
                let text = exporter.text(TextFormat::Prometheus).unwrap_or_default();
                replace(path, &text).map_err(|source| ExporterError::Write { path: path.to_owned(), source })?;
                complaint.clear();
            }
            Ok(false) => {}
            Err(error) => super::complain(&error, &mut complaint),
        }
        thread::sleep(POLL);
    }
}

/// Replaces the file atomically, so that readers never see an incomplete one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // The collector ignores files with this ending.
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    match fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Fails if there is a file or a link of this name again, and so never writes to a file of another folder.
    let mut file = File::create_new(&part)?;
    file.write_all(text.as_bytes())?;
    // The collector runs as another user.
    file.set_permissions(Permissions::from_mode(0o644))?;
    fs::rename(&part, path)
}
