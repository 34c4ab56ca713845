//! Where reports go: a file for each format and destination.
//!
//! A sink sees nothing but the report: no backend, no ledger, no clock.

mod book;
mod json;
mod log;
mod log_file;
mod logfmt;
mod outlet;
mod stdout;
mod table;

use std::path::{Path, PathBuf};

pub use book::{BookSink, Booking, Counting, Follower, LOG};
pub use json::Json;
pub(crate) use json::{is_unsafe, value as write_json};
pub use log::{Former, Log, Piece, Told};
pub use log_file::{LogFile, lock_path, require_free};
pub use logfmt::Logfmt;
pub use outlet::{Condition, Item, Outlet, Sink, Untaken, Watch};
pub use stdout::Stdout;
pub use table::Table;

use crate::book::BookError;
use crate::report::Report;

/// A format of records.
pub trait Format: Send + Sync {
    /// Appends all records of `report` to `out`, one a line, each with its line end.
    fn encode(&self, report: &Report, out: &mut Vec<u8>);

    /// The same for records that are already [`Json`].
    fn encode_json(&self, records: &str, out: &mut Vec<u8>);
}

/// A destination of records.
pub trait Destination: Send {
    /// Appends `records`, all or none of them.
    fn append(&mut self, records: &[u8]) -> Result<(), SinkError>;

    /// How far it has been written, for [`Destination::resume`]; `None` if that is unknown.
    fn mark(&self) -> Option<String> {
        None
    }

    /// How many of `reports`, which may have been appended after `mark` and before a crash, it contains. Removes an
    /// incomplete report at the end.
    fn resume(&mut self, mark: &str, reports: &[Vec<u8>]) -> Result<usize, SinkError> {
        let _ = (mark, reports);
        Ok(0)
    }

    /// Closes and reopens the destination, if that makes sense. On failure the old one stays open.
    fn reopen(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Undoes what opening has changed, because the service did not start.
    fn discard(&mut self) {}
}

/// Why a report was not written, or a log not opened.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It cannot be opened.
    #[error("{}: cannot be opened for appending: {source}", path.display())]
    Open {
        /// The log.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It was deleted, and this process may not create files in its folder.
    #[error(
        "{}: was deleted, and cannot be made again ({source}): as root, systemctl reload trafcalc makes it; until then reports wait",
        path.display()
    )]
    Deleted {
        /// The log.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is neither a regular file nor a character device.
    #[error("{}: is neither a file nor a character device", .0.display())]
    NotAFile(PathBuf),
    /// The last component of its path is a symbolic link, whose owner can redirect it anywhere.
    #[error("{}: is a symbolic link; name the file itself", .0.display())]
    Link(PathBuf),
    /// Every user may replace files in its folder.
    #[error("{}: every user may create files in this folder, also one in place of the log", .0.display())]
    OpenFolder(PathBuf),
    /// Another user created it.
    #[error("{}: belongs to user {uid}, who could write it, too", path.display())]
    Foreign {
        /// The log.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Its lock cannot be created.
    #[error("{}: its lock {} cannot be created: {source}", path.display(), lock.display())]
    Lock {
        /// The log.
        path: PathBuf,
        /// The file beside it.
        lock: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process holds its lock.
    #[error("{}: another trafcalc is writing to this log", .0.display())]
    Taken(PathBuf),
    /// Writing failed.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The log.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It was not written in time.
    #[error("it was not written in time")]
    Stuck,
    /// Writing the book failed.
    #[error(transparent)]
    Book(Box<BookError>),
    /// The reader of standard output is gone.
    #[error("standard output was closed by its reader")]
    ReaderGone,
}

impl From<BookError> for SinkError {
    fn from(error: BookError) -> Self {
        Self::Book(Box::new(error))
    }
}

fn write_error(path: &Path, source: std::io::Error) -> SinkError {
    SinkError::Write { path: path.to_owned(), source }
}
