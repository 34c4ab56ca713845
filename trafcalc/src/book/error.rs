//! Why the book could not be opened, written or read.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rusqlite::{ErrorCode, ffi};

/// What could not be done with the book. After any of these the book can be used as before: nothing of what failed is
/// in it.
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
    /// It was made by a former version of this program, and is to be added to.
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
    /// It has the number of a schema of this program, and other tables: builds before the first release gave one number to several.
    #[error(
        "the book {} has other tables than this trafcalc ({what}): a build before the first release made it; rename it with its -wal \
         and -shm files and trafcalc run begins another, or name another with --book",
        path.display()
    )]
    OtherLayout {
        /// The book.
        path: PathBuf,
        /// The first table, index or view that is another one.
        what: String,
    },
    /// It is a sound database, but of something else: most likely the path is wrong. It is left alone.
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
    /// It is a file of something else. One that is to be written is set aside instead.
    #[error("{} is no book, and not even a database; name the book with --book", path.display())]
    NoDatabase {
        /// What was taken for the book.
        path: PathBuf,
    },
    /// Who only reads it came upon a place in it that is not what was written.
    #[error("the book {} is damaged and cannot answer this: {source}", path.display())]
    Damaged {
        /// The book.
        path: PathBuf,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
    /// The files that readers and the writer share are not there, and cannot be made.
    #[error(
        "the book {} cannot be read without its -wal and -shm files, and this user may not create them in its folder; \
         trafcalc run leaves them there; or copy all files of the book to a folder of this user",
        path.display()
    )]
    Unshared {
        /// The book.
        path: PathBuf,
    },
    /// A report was told of by a sink that [`Opening`](super::Opening) did not name.
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

/// What is wrong, as far as it decides what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No room: goes away when somebody makes some.
    DiskFull,
    /// The disk or file may not be written.
    ReadOnly,
    /// Another process has it: a second service, or somebody who writes into it by hand.
    Locked,
    /// What is on the disk is not what was written. Drop the book and open it again: that sets it aside.
    Corrupt,
    /// The disk does not do what it is asked.
    BrokenDisk,
    /// The book is of a newer version or of another program: a matter of configuration.
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
    /// What is wrong.
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

/// What an error of `SQLite` means.
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

/// What would help, where `SQLite` does not say.
fn hint(error: &rusqlite::Error) -> &'static str {
    match of_database(error) {
        Trouble::Locked => "; another process is writing into it",
        Trouble::Corrupt => "; it is set aside when it is opened next",
        _ => "",
    }
}
