//! A consistent copy of the book.

use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::database_error;
use super::error::BookError;
use super::reader::Reader;
use super::schema::{BUSY_TIMEOUT, file_error};

/// Copies the book at `path`, which may be in use, to `file`, which must be empty. Returns the length of the copy in
/// bytes. The copy is on the disk when this returns.
pub fn backup(path: &Path, file: &Path) -> Result<u64, BookError> {
    drop(Reader::open(path)?);
    copy(path, file).map_err(|source| database_error(path, "copying it", source))?;
    sync(file).map_err(|source| file_error(file, "writing a copy of the book", source))
}

fn copy(path: &Path, file: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let file = file.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(file.to_owned()))?;
    connection.execute("VACUUM INTO ?1", [file]).map(drop)
}

fn sync(file: &Path) -> io::Result<u64> {
    let written = File::open(file)?;
    written.sync_all()?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(written.metadata()?.len())
}
