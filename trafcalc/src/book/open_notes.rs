//! The cursors of the connections that were open when the service ended. If the host has not rebooted since, the next
//! service continues from there for those that are still open.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::capture::{Endpoints, FlowNote, OpenNotes, StreamNote};

/// Stores these and deletes those of a former report, whose bytes have been counted since.
pub(super) fn put(book: &Connection, OpenNotes { streams, flows, scope }: &OpenNotes) -> rusqlite::Result<()> {
    book.prepare_cached("DELETE FROM stream")?.execute([])?;
    book.prepare_cached("DELETE FROM flow")?.execute([])?;
    book.prepare_cached("DELETE FROM meta WHERE key = 'flow_scope'")?.execute([])?;
    let mut insert = book.prepare_cached("INSERT OR REPLACE INTO stream VALUES(?1, ?2, ?3, ?4, ?5)")?;
    for &StreamNote { sent, received, sent_base, received_base, flags } in streams {
        insert.execute(params![sent_base, received_base, sent.cast_signed(), received.cast_signed(), flags])?;
    }
    if !flows.is_empty() {
        book.prepare_cached("INSERT OR REPLACE INTO meta VALUES('flow_scope', ?1)")?.execute([scope])?;
    }
    let mut insert =
        book.prepare_cached("INSERT OR REPLACE INTO flow VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
    for FlowNote { cookie, endpoints: at, uid, sent, received, sent_total, received_total } in flows {
        insert.execute(params![
            cookie.cast_signed(),
            at.local.octets(),
            at.local_port,
            at.remote.octets(),
            at.remote_port,
            uid,
            sent,
            received,
            sent_total.cast_signed(),
            received_total.cast_signed(),
        ])?;
    }
    Ok(())
}

pub(super) fn all(book: &Connection) -> rusqlite::Result<OpenNotes> {
    let streams = book
        .prepare(
            "SELECT sent_base, received_base, sent, received, flags FROM stream ORDER BY sent_base, received_base",
        )?
        .query_map([], stream)?
        .collect::<Result<_, _>>()?;
    let flows = book
        .prepare(
            "SELECT cookie, local, local_port, remote, remote_port, uid, sent, received, sent_total, received_total \
             FROM flow ORDER BY cookie",
        )?
        .query_map([], flow)?
        .collect::<Result<_, _>>()?;
    let mut scope = book.prepare("SELECT value FROM meta WHERE key = 'flow_scope'")?;
    let scope: Option<String> = scope.query_row([], |row| row.get(0)).optional()?;
    Ok(OpenNotes { streams, flows, scope: scope.unwrap_or_default() })
}

fn stream(row: &Row<'_>) -> rusqlite::Result<StreamNote> {
    Ok(StreamNote {
        sent_base: row.get(0)?,
        received_base: row.get(1)?,
        sent: unsigned(row, 2)?,
        received: unsigned(row, 3)?,
        flags: row.get(4)?,
    })
}

fn flow(row: &Row<'_>) -> rusqlite::Result<FlowNote> {
    let address = |column: usize| row.get::<_, [u8; 16]>(column).map(Into::into);
    Ok(FlowNote {
        cookie: unsigned(row, 0)?,
        endpoints: Endpoints {
            local: address(1)?,
            local_port: row.get(2)?,
            remote: address(3)?,
            remote_port: row.get(4)?,
        },
        uid: row.get(5)?,
        sent: row.get(6)?,
        received: row.get(7)?,
        sent_total: unsigned(row, 8)?,
        received_total: unsigned(row, 9)?,
    })
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}
