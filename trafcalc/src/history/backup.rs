//! `trafcalc history backup`: a copy of the book as it is at one moment, whether the service writes it or not.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::{BookOf, HistoryError};
use crate::book;

/// Makes the copy, a file of mode 0640 that must not exist yet; returns the text for the user.
pub fn backup(book: &BookOf, file: &Path) -> Result<String, HistoryError> {
    let path = book.path()?;
    make(file).map_err(|source| HistoryError::File { path: file.to_owned(), doing: "making the copy", source })?;
    let copied = book::backup(&path, file);
    if copied.is_err() {
        // A partial copy is useless.
        let _ = fs::remove_file(file);
    }
    Ok(format!("{}: {} bytes\n", file.display(), copied?))
}

/// `SQLite` would create it with another mode.
fn make(file: &Path) -> io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o640).open(file)?;
    made.set_permissions(Permissions::from_mode(0o640))
}
