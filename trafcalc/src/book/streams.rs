//! Where the connections stood that were open when the service ended. The next one goes on from there with those that are open
//! still, if the host was not started since.

use rusqlite::{Connection, Row, params};

use crate::capture::StreamNote;

/// Keeps these, and forgets what a former report kept: its bytes have been counted since.
pub(super) fn put(book: &Connection, notes: &[StreamNote]) -> rusqlite::Result<()> {
    book.prepare_cached("DELETE FROM stream")?.execute([])?;
    for note in notes {
        let &StreamNote { socket, sent, received, sent_base, received_base, flags } = note;
        let [socket, sent, received] = [socket, sent, received].map(u64::cast_signed);
        book.prepare_cached("INSERT INTO stream VALUES(?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
            socket,
            sent,
            received,
            sent_base,
            received_base,
            flags
        ])?;
    }
    Ok(())
}

pub(super) fn all(book: &Connection) -> rusqlite::Result<Vec<StreamNote>> {
    let number = |row: &Row<'_>, column: usize| row.get(column).map(i64::cast_unsigned);
    book.prepare("SELECT socket, sent, received, sent_base, received_base, flags FROM stream ORDER BY socket")?
        .query_map([], |row| {
            Ok(StreamNote {
                socket: number(row, 0)?,
                sent: number(row, 1)?,
                received: number(row, 2)?,
                sent_base: row.get(3)?,
                received_base: row.get(4)?,
                flags: row.get(5)?,
            })
        })?
        .collect()
}
