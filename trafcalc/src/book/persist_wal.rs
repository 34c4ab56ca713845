//! The one `SQLite` setting that rusqlite has no call for.

#![expect(unsafe_code, reason = "sqlite3_file_control has no safe wrapper")]

use std::ffi::c_int;
use std::ptr;

use rusqlite::{Connection, ffi};

/// Keeps the `-wal` and `-shm` files when the book is closed. A process that may only read the book cannot create them,
/// and cannot read the book without them.
pub(super) fn persist_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mut keep: c_int = 1;
    // SAFETY: the connection is open as long as it is borrowed. A null name means the main database, and the argument
    // of this operation is a pointer to an int, which is not used after the call.
    let code = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            ptr::null(),
            ffi::SQLITE_FCNTL_PERSIST_WAL,
            ptr::from_mut(&mut keep).cast(),
        )
    };
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)) }
}
