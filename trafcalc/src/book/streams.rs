//! Where the connections stood that were open when the service ended. The next one goes on from there with those that are open
//! still, if the host was not started since.

use rusqlite::{Connection, Row, params};

use crate::capture::StreamNote;

/// Keeps these, and forgets what a former report kept: its bytes have been counted since.
pub(super) fn put(book: &Connection, notes: &[StreamNote]) -> rusqlite::Result<()> {
    book.prepare_cached("DELETE FROM stream")?.execute([])?;
    let mut insert = book.prepare_cached("INSERT OR REPLACE INTO stream VALUES(?1, ?2, ?3, ?4, ?5)")?;
    for &StreamNote { sent, received, sent_base, received_base, flags } in notes {
        insert.execute(params![sent_base, received_base, sent.cast_signed(), received.cast_signed(), flags])?;
    }
    Ok(())
}

pub(super) fn all(book: &Connection) -> rusqlite::Result<Vec<StreamNote>> {
    let position = |row: &Row<'_>, column: usize| row.get(column).map(i64::cast_unsigned);
    book.prepare(
        "SELECT sent_base, received_base, sent, received, flags FROM stream ORDER BY sent_base, received_base",
    )?
    .query_map([], |row| {
        Ok(StreamNote {
            sent_base: row.get(0)?,
            received_base: row.get(1)?,
            sent: position(row, 2)?,
            received: position(row, 3)?,
            flags: row.get(4)?,
        })
    })?
    .collect()
}
