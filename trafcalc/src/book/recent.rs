//! The current five minutes. Reports add to one row an account here. When a report belongs to other five minutes, these
//! rows are added to the five-minute, hourly, daily and total rows. So most reports write one row an account instead of
//! four.
//!
//! `recent_row` keeps the times of the rows that the bytes belong to, as they were computed: the next epoch may have
//! another time zone.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::borders::Rows;
use super::fine;

/// An account's number, and its bytes sent and received.
pub(super) type Moved = (i64, i64, i64);

/// Books what moved into `rows`.
pub(super) fn add(book: &Connection, rows: &Rows, moved: &[Moved]) -> rusqlite::Result<()> {
    if moved.is_empty() {
        return Ok(());
    }
    let Rows { fine_s, hour_s, date } = rows;
    let is_same = book
        .prepare_cached("SELECT 1 FROM recent_row WHERE (fine_s, hour_s, date) = (?1, ?2, ?3)")?
        .exists(params![fine_s, hour_s, date])?;
    if !is_same {
        flush(book)?;
        book.prepare_cached("INSERT OR REPLACE INTO recent_row VALUES(1, ?1, ?2, ?3)")?
            .execute(params![fine_s, hour_s, date])?;
    }
    let mut add = book.prepare_cached(&adding("INSERT INTO recent VALUES(?1, ?2, ?3)"))?;
    moved.iter().try_for_each(|moved| add.execute(*moved).map(drop))
}

/// Adds the recent bytes to the rows they belong to.
fn flush(book: &Connection) -> rusqlite::Result<()> {
    flush_fine(book)?;
    for (table, row) in [("past_hour", "hour_s,"), ("past_day", "date,"), ("past_total", "")] {
        // Without a WHERE clause, SQLite would parse ON as part of a join.
        let rows = format!("SELECT {row} account, sent, received FROM recent_row CROSS JOIN recent WHERE true");
        book.prepare_cached(&adding(&format!("INSERT INTO {table} {rows}")))?.execute([])?;
    }
    book.prepare_cached("DELETE FROM recent")?.execute([]).map(drop)
}

fn flush_fine(book: &Connection) -> rusqlite::Result<()> {
    let mut ask = book.prepare_cached("SELECT fine_s FROM recent_row")?;
    let Some(fine_s) = ask.query_row([], |row| row.get(0)).optional()? else { return Ok(()) };
    let mut ask = book.prepare_cached("SELECT account, sent, received FROM recent ORDER BY account")?;
    let moved = ask.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    fine::add(book, fine_s, &moved.collect::<rusqlite::Result<Vec<_>>>()?)
}

/// Adds to an existing row. If the sum overflows, `+` yields a floating-point number, so `min` takes the limit.
fn adding(insert: &str) -> String {
    format!(
        "{insert} ON CONFLICT DO UPDATE SET sent = min(sent + excluded.sent, 0x7fffffffffffffff), \
         received = min(received + excluded.received, 0x7fffffffffffffff)"
    )
}
