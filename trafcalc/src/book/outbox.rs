//! The outbox: reports that sinks still have to write, and how far each sink has written.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::commit::number;

/// A report as a sink writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The epoch it was counted in.
    pub epoch: i64,
    /// Its sequence number.
    pub seq: u64,
    /// The records to write.
    pub records: String,
}

/// How far a sink has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The epoch and...
    pub epoch: i64,
    /// ...number of the last report it wrote.
    pub seq: u64,
    /// The sink's own note about its position.
    pub note: String,
}

/// Removes sinks that are not in `sinks`. A new sink gets the reports from now on.
pub(super) fn set_sinks(book: &Connection, epoch: i64, sinks: &[&str]) -> rusqlite::Result<()> {
    let known: Vec<String> =
        book.prepare("SELECT name FROM sink")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for name in known.iter().filter(|name| !sinks.contains(&name.as_str())) {
        book.execute("DELETE FROM sink WHERE name = ?1", [name])?;
    }
    for name in sinks {
        book.execute("INSERT OR IGNORE INTO sink VALUES(?1, ?2, ?3, NULL)", params![name, epoch - 1, i64::MAX])?;
    }
    forget_told(book, sinks.is_empty())
}

pub(super) fn outbox(book: &Connection, sink: &str, limit: usize) -> rusqlite::Result<Vec<Outgoing>> {
    let mut ask = book.prepare_cached(
        "SELECT epoch, seq, records FROM outbox WHERE (epoch, seq) > (SELECT epoch, seq FROM sink WHERE name = ?1) \
         ORDER BY epoch, seq LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    ask.query_map(params![sink, limit], |row| {
        Ok(Outgoing { epoch: row.get(0)?, seq: row.get(1)?, records: row.get(2)? })
    })?
    .collect()
}

/// Keeps records for the sinks, if there are any.
pub(super) fn put(book: &Connection, epoch: i64, seq: u64, records: &str) -> rusqlite::Result<()> {
    book.prepare_cached("INSERT INTO outbox SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM sink)")?
        .execute(params![epoch, number(seq), records])
        .map(drop)
}

pub(super) fn has_many(book: &Connection, sink: &str) -> rusqlite::Result<bool> {
    book.prepare_cached(
        "SELECT count(*) > 1 FROM (SELECT 1 FROM outbox \
         WHERE (epoch, seq) > (SELECT epoch, seq FROM sink WHERE name = ?1) LIMIT 2)",
    )?
    .query_row([sink], |row| row.get(0))
}

/// Returns whether the sink exists. Its cursor never goes back.
pub(super) fn told(book: &Connection, sink: &str, mark: &Mark) -> rusqlite::Result<bool> {
    let seq = i64::try_from(mark.seq).unwrap_or(i64::MAX);
    let told = book
        .prepare_cached("UPDATE sink SET epoch = ?2, seq = ?3, mark = ?4 WHERE name = ?1 AND (epoch, seq) <= (?2, ?3)")?
        .execute(params![sink, mark.epoch, seq, mark.note])?;
    forget_told(book, false)?;
    Ok(told > 0 || book.prepare_cached("SELECT 1 FROM sink WHERE name = ?1")?.exists([sink])?)
}

pub(super) fn mark(book: &Connection, sink: &str) -> rusqlite::Result<Option<Mark>> {
    book.prepare_cached("SELECT epoch, seq, mark FROM sink WHERE name = ?1 AND mark IS NOT NULL")?
        .query_row([sink], |row| Ok(Mark { epoch: row.get(0)?, seq: row.get(1)?, note: row.get(2)? }))
        .optional()
}

/// Removes what every sink has written; everything if `all` is set.
fn forget_told(book: &Connection, all: bool) -> rusqlite::Result<()> {
    book.prepare_cached(
        "DELETE FROM outbox WHERE ?1 OR (epoch, seq) <= (SELECT epoch, seq FROM sink ORDER BY epoch, seq LIMIT 1)",
    )?
    .execute([all])
    .map(drop)
}
