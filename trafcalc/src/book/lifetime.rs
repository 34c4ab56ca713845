//! The totals of all accounts since the book was begun. The exporter publishes them as counters that a restart does not reset.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::accounts::AccountKey;
use super::borders::time;
use super::error::BookError;
use super::reader::Reader;
use crate::capture::Bytes;

/// The last booked report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastReport {
    /// The life of the service that counted it.
    pub epoch: i64,
    /// Its number in that.
    pub seq: i64,
    /// When it ended.
    pub end: SystemTime,
    /// The health since the start of that life, as JSON.
    pub health: String,
}

impl Reader {
    /// The last booked report; `None` if the book has no report.
    pub fn last_report(&self) -> Result<Option<LastReport>, BookError> {
        let sql = "SELECT epoch, seq, end_us, health FROM report ORDER BY epoch DESC, seq DESC LIMIT 1";
        let last = self.list(sql, |row| {
            Ok(LastReport { epoch: row.get(0)?, seq: row.get(1)?, end: time(row.get(2)?), health: row.get(3)? })
        });
        Ok(last?.pop())
    }

    /// The number of periods that were not counted since the book was begun, and the sum of their lengths. Neither decreases. The times
    /// between imported logs, which are in [`Reader::gaps`], are left out: an import changes them.
    pub fn uncounted(&self) -> Result<(u64, Duration), BookError> {
        // A gap in which the clock was set back has no length.
        let sql = "SELECT count(*), total(max(to_us - from_us, 0)) / 1e6 FROM gap";
        let (number, seconds) = self.ask(|book| book.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))))?;
        Ok((number, Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
    }

    /// The measured bytes of each account since the book was begun, without corrections. Accounts that have only imported or corrected bytes
    /// have 0. Ordered by the number of the account: accounts are numbered as they appear, and keep their number.
    pub fn totals(&self) -> Result<Vec<(i64, AccountKey, Bytes)>, BookError> {
        // The view has two rows for an account with recent traffic. SQLite fails if a sum overflows.
        let mut sums: BTreeMap<i64, Bytes> = BTreeMap::new();
        for (account, sent, received) in
            self.list("SELECT account, sent, received FROM total", |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        {
            let sum = sums.entry(account).or_default();
            *sum = Bytes { sent: sum.sent.saturating_add(sent), received: sum.received.saturating_add(received) };
        }
        let mut accounts = self.accounts()?;
        accounts.sort_unstable_by_key(|(id, _)| *id);
        Ok(accounts.into_iter().map(|(id, key)| (id, key, sums.remove(&id).unwrap_or_default())).collect())
    }
}
