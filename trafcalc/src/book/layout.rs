//! Whether a book has the tables of its schema. Builds before the first release made books of one number with several sets of tables;
//! without this check they are told by an error of SQL.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::schema::{MIGRATIONS, migrate};

/// The first table, index or view of this version that `book` has not, or has in another way. What it has beside them is no
/// difference. Reads no row; takes about a millisecond.
pub(super) fn difference(book: &Connection, version: usize) -> rusqlite::Result<Option<String>> {
    let mut model = Connection::open_in_memory()?;
    migrate(&mut model, 0, MIGRATIONS.get(..version).unwrap_or(&MIGRATIONS))?;
    let (known, found) = (definitions(&model)?, definitions(book)?);
    Ok(known.into_iter().find(|(name, sql)| found.get(name) != Some(sql)).map(|(name, _)| name))
}

/// The name of each table, index and view, and how it was made.
fn definitions(book: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut ask = book.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    ask.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
