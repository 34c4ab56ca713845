//! Checks that a book has the tables of its schema version. Builds before the first release gave one version number to
//! several sets of tables; without this check such a book fails with an SQL error.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::schema::{MIGRATIONS, migrate};

/// The first table, index or view of this version that `book` lacks or defines differently. Additional ones do not
/// matter. Reads no row; takes about a millisecond.
pub(super) fn difference(book: &Connection, version: usize) -> rusqlite::Result<Option<String>> {
    let mut model = Connection::open_in_memory()?;
    migrate(&mut model, 0, MIGRATIONS.get(..version).unwrap_or(&MIGRATIONS))?;
    let (known, found) = (definitions(&model)?, definitions(book)?);
    Ok(known.into_iter().find(|(name, sql)| found.get(name) != Some(sql)).map(|(name, _)| name))
}

/// The name and the SQL of each table, index and view.
fn definitions(book: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut ask = book.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    ask.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
