//! Reports of a month that was closed before they came. They are booked in a later month.

use std::ops::Range;
use std::time::SystemTime;

use jiff::tz::TimeZone;
use rusqlite::{Connection, params};

use super::borders::{micros, rows_before};
use super::error::BookError;
use super::reader::Reader;

/// Notes that a report is booked under another time than it is of.
pub(super) fn note(
    book: &Connection,
    (epoch, seq): (i64, i64),
    times: [SystemTime; 2],
    booked: SystemTime,
    zone: &TimeZone,
    (sent, received): (i64, i64),
) -> rusqlite::Result<()> {
    let [start_us, end_us] = times.map(micros);
    book.prepare_cached("INSERT INTO late VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![epoch, seq, start_us, end_us, rows_before(booked, zone).fine_s, sent, received])
        .map(drop)
}

/// Bytes of a closed month that are booked in a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedOn {
    /// When they moved, in seconds since 1970.
    pub moved: Range<i64>,
    /// The beginning of the five minutes they are booked in.
    pub row_s: i64,
    /// How many were sent.
    pub sent: u64,
    /// How many were received.
    pub received: u64,
}

impl Reader {
    /// Bytes that moved in `period` but are booked in a later month, and bytes booked in `period` that moved before.
    pub fn moved_on(&self, period: &Range<i64>) -> Result<Vec<MovedOn>, BookError> {
        let micros = |second: i64| second.saturating_mul(1_000_000);
        let (from, to, from_us, to_us) = (period.start, period.end, micros(period.start), micros(period.end));
        let sql = format!(
            "SELECT start_us, end_us, row_s, sent, received FROM late \
             WHERE start_us < {to_us} AND end_us > {from_us} OR row_s >= {from} AND row_s < {to} ORDER BY epoch, seq"
        );
        self.list(&sql, |row| {
            let (start_us, end_us): (i64, i64) = (row.get(0)?, row.get(1)?);
            let moved = start_us.div_euclid(1_000_000)..end_us.saturating_add(999_999).div_euclid(1_000_000);
            Ok(MovedOn { moved, row_s: row.get(2)?, sent: row.get(3)?, received: row.get(4)? })
        })
    }
}
