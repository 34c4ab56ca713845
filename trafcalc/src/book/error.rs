//! Why the book could not be opened, written or read.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rusqlite::{ErrorCode, ffi};

/// What could not be done with the book. After any of these errors the book can be used as before: nothing of the
/// failed operation is in it.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// Another service writes it.
    #[error(
        "the book {} is in use by another trafcalc; stop that one, or give this one a book of its own with --book, or none with --book none",
        path.display()
    )]
    InUse {
        /// The book.
        path: PathBuf,
    },
    /// It was made by a later version of this program.
    #[error(
        "the book {} has schema {found}, and this trafcalc knows schemas up to {known}; run the version that wrote it, or \
         a later one, or begin another book with --book",
        path.display()
    )]
    Newer {
        /// The book.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The last schema this program knows.
        known: i64,
    },
    /// It was made by a former version of this program, and a change to it was asked for.
    #[error(
        "the book {} has schema {found}, and this trafcalc writes schema {known}; start trafcalc run with this book to \
         upgrade it",
        path.display()
    )]
    Older {
        /// The book.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The schema of this program.
        known: i64,
    },
    /// Its schema version is known, but its tables are others: builds before the first release gave one number to
    /// several schemas.
    #[error(
        "the book {} has other tables than this trafcalc ({what}): a build before the first release made it; rename it with its -wal \
         and -shm files and trafcalc run begins another, or name another with --book",
        path.display()
    )]
    OtherLayout {
        /// The book.
        path: PathBuf,
        /// The first table, index or view that differs.
        what: String,
    },
    /// It is a sound database of another program: most likely the path is wrong. It is left alone.
    #[error("{} is a database of another program, not a book; give the book another path with --book", path.display())]
    Foreign {
        /// What was taken for the book.
        path: PathBuf,
    },
    /// It is an empty file, or a database with nothing in it: there is no book yet.
    #[error("the book {} is empty: the service that begins it has not written it yet", path.display())]
    Empty {
        /// The book.
        path: PathBuf,
    },
    /// The file is no database. A reader reports this error; the service sets such a file aside instead.
    #[error("{} is no book, and not even a database; name the book with --book", path.display())]
    NoDatabase {
        /// What was taken for the book.
        path: PathBuf,
    },
    /// A reader found a part of the book that is damaged.
    #[error("the book {} is damaged and cannot answer this: {source}", path.display())]
    Damaged {
        /// The book.
        path: PathBuf,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
    /// The `-wal` and `-shm` files are missing, and this user cannot create them.
    #[error(
        "the book {} cannot be read without its -wal and -shm files, and this user may not create them in its folder; \
         trafcalc run leaves them there; or copy all files of the book to a folder of this user",
        path.display()
    )]
    Unshared {
        /// The book.
        path: PathBuf,
    },
    /// A sink that [`Opening`](super::Opening) did not name reported what it has written.
    #[error("the book {} was opened without a sink \"{sink}\"", path.display())]
    UnknownSink {
        /// The book.
        path: PathBuf,
        /// The sink.
        sink: String,
    },
    /// Its file or folder could not be made, locked or renamed.
    #[error("the book {}: {doing}: {source}", path.display())]
    File {
        /// The book.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// `SQLite` refused.
    #[error("the book {}: {doing}: {source}{}", path.display(), hint(source))]
    Database {
        /// The book.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
}

/// The kind of an error, as far as it decides what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No room on the disk; retrying helps once there is some.
    DiskFull,
    /// The disk or file may not be written.
    ReadOnly,
    /// Another process holds it: a second service, or a person who writes to it by hand.
    Locked,
    /// The content is damaged. Drop the book and open it again: that sets it aside.
    Corrupt,
    /// The disk reports input/output errors.
    BrokenDisk,
    /// The book is of a newer version or of another program; the configuration has to be changed.
    NotOurs,
    /// Anything else.
    Other,
}

impl Trouble {
    const fn as_str(self) -> &'static str {
        match self {
            Self::DiskFull => "disk full",
            Self::ReadOnly => "read-only",
            Self::Locked => "locked",
            Self::Corrupt => "corrupt",
            Self::BrokenDisk => "input/output error",
            Self::NotOurs => "not ours",
            Self::Other => "error",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl BookError {
    /// The kind of this error.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::InUse { .. } => Trouble::Locked,
            Self::Newer { .. }
            | Self::Older { .. }
            | Self::OtherLayout { .. }
            | Self::Foreign { .. }
            | Self::NoDatabase { .. } => Trouble::NotOurs,
            Self::Damaged { .. } => Trouble::Corrupt,
            Self::Empty { .. } | Self::Unshared { .. } | Self::UnknownSink { .. } => Trouble::Other,
            Self::File { source, .. } => of_file(source),
            Self::Database { source, .. } => of_database(source),
        }
    }
}

fn of_file(error: &io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::DiskFull,
        io::ErrorKind::ReadOnlyFilesystem => Trouble::ReadOnly,
        _ => Trouble::Other,
    }
}

/// The kind of an error of `SQLite`.
pub(super) fn of_database(error: &rusqlite::Error) -> Trouble {
    // Growing the `-shm` file has no code of its own for a full disk.
    if error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE) {
        return Trouble::DiskFull;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Trouble::DiskFull,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Trouble::ReadOnly,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Locked,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Corrupt,
        Some(ErrorCode::SystemIoFailure) => Trouble::BrokenDisk,
        _ => Trouble::Other,
    }
}

/// A hint where `SQLite`'s message gives none.
fn hint(error: &rusqlite::Error) -> &'static str {
    match of_database(error) {
        Trouble::Locked => "; another process is writing into it",
        Trouble::Corrupt => "; it is set aside when it is opened next",
        _ => "",
    }
}
