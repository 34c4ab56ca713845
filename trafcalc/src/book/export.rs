//! What a book has gained since a report, for programs that keep a copy of it elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::ops::{ControlFlow, Range};
use std::time::SystemTime;

use jiff::tz::TimeZone;
use rusqlite::params;

use super::accounts::AccountKey;
use super::borders::{FINE_S, time};
use super::error::BookError;
use super::reader::{Reader, Tier};
use crate::capture::Bytes;

/// A report without its accounts, which the book keeps in five-minute rows only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedReport {
    /// The epoch it was counted in.
    pub epoch: i64,
    /// Its sequence number.
    pub seq: u64,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What moved, summed over all accounts.
    pub bytes: Bytes,
    /// What could not be counted, as JSON.
    pub health: String,
}

impl BookedReport {
    /// The beginning of the five minutes that contain its middle, in seconds since 1970.
    #[must_use]
    pub fn row_s(&self) -> i64 {
        let length = self.end.duration_since(self.start).unwrap_or_default();
        let middle_us = super::borders::micros(self.end.checked_sub(length / 2).unwrap_or(self.end));
        middle_us.saturating_sub(1).div_euclid(1_000_000).div_euclid(FINE_S) * FINE_S
    }
}

impl Reader {
    /// Epoch and number of the oldest report whose own row the book still has.
    pub fn first_report(&self) -> Result<Option<(i64, i64)>, BookError> {
        let first = self
            .list("SELECT epoch, seq FROM report ORDER BY epoch, seq LIMIT 1", |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(first.first().copied())
    }

    /// When the book was begun, in microseconds since 1970. No two books of a host are begun at the same time.
    pub fn begun_us(&self) -> Result<i64, BookError> {
        self.number("SELECT value FROM meta WHERE key = 'begun_us'")
    }

    /// When the book was begun.
    pub fn begun(&self) -> Result<SystemTime, BookError> {
        self.begun_us().map(time)
    }

    /// Whether the book has this report's own row.
    pub fn has_report(&self, (epoch, seq): (i64, i64)) -> Result<bool, BookError> {
        Ok(self.number(&format!("SELECT count(*) FROM report WHERE epoch = {epoch} AND seq = {seq}"))? > 0)
    }

    /// The beginning of the first hourly row within `range`.
    pub fn first_hour(&self, range: &Range<i64>) -> Result<Option<i64>, BookError> {
        let within = |column: &str| format!("{column} >= {} AND {column} < {}", range.start, range.end);
        self.row(&format!(
            "SELECT min(first) FROM (SELECT min(start_s) AS first FROM past_hour WHERE {} \
             UNION ALL SELECT hour_s FROM recent_row WHERE {})",
            within("start_s"),
            within("hour_s")
        ))
    }

    /// Calls `each` with the reports after the given epoch and number, in order, until it breaks.
    pub fn reports_after<B>(
        &self,
        after: (i64, i64),
        mut each: impl FnMut(BookedReport) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, BookError> {
        self.ask(|book| {
            let mut ask = book.prepare(
                "SELECT epoch, seq, start_us, end_us, sent, received, health FROM report WHERE (epoch, seq) > (?1, ?2) \
                 ORDER BY epoch, seq",
            )?;
            let mut rows = ask.query(params![after.0, after.1])?;
            while let Some(row) = rows.next()? {
                let report = BookedReport {
                    epoch: row.get(0)?,
                    seq: row.get(1)?,
                    start: time(row.get(2)?),
                    end: time(row.get(3)?),
                    bytes: Bytes { sent: row.get(4)?, received: row.get(5)? },
                    health: row.get(6)?,
                };
                if let ControlFlow::Break(end) = each(report) {
                    return Ok(ControlFlow::Break(end));
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Calls `each` with the five-minute rows from `from_s` on, in order, with the account's number and key, until it
    /// breaks.
    pub fn fine_rows<B>(
        &self,
        from_s: i64,
        each: impl FnMut(i64, (i64, AccountKey), Bytes) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, BookError> {
        self.account_rows(Tier::Fine, &(from_s..i64::MAX), each)
    }

    /// The same with the hourly rows that begin within `range`.
    pub fn hour_rows<B>(
        &self,
        range: &Range<i64>,
        each: impl FnMut(i64, (i64, AccountKey), Bytes) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, BookError> {
        self.account_rows(Tier::Hour, range, each)
    }

    fn account_rows<B>(
        &self,
        tier: Tier,
        range: &Range<i64>,
        mut each: impl FnMut(i64, (i64, AccountKey), Bytes) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, BookError> {
        let accounts: HashMap<i64, AccountKey> = self.accounts()?.into_iter().collect();
        let mut told = ControlFlow::Continue(());
        let mut tell = |start_s: i64, slot: BTreeMap<i64, Bytes>| {
            for (account, bytes) in slot {
                if let (Some(key), ControlFlow::Continue(())) = (accounts.get(&account), &told) {
                    told = each(start_s, (account, key.clone()), bytes);
                }
            }
        };
        // The latest five minutes or hour may be in two rows, which are summed.
        let (mut slot_s, mut slot) = (range.start, BTreeMap::<i64, Bytes>::new());
        self.rows(tier, range, &TimeZone::UTC, |start_s, account, bytes| {
            if start_s != slot_s {
                tell(slot_s, std::mem::take(&mut slot));
                slot_s = start_s;
            }
            *slot.entry(account).or_default() += bytes;
        })?;
        tell(slot_s, slot);
        Ok(told)
    }
}
