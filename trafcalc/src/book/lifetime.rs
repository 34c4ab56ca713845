//! The totals of all accounts since the book was begun. The exporter publishes them as counters that a restart does not reset.

use std::collections::BTreeMap;
use std::time::SystemTime;

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

    /// The measured bytes of each account since the book was begun, without corrections. Ordered by the number of the account: accounts are
    /// numbered as they appear, and keep their number.
    pub fn totals(&self) -> Result<Vec<(i64, AccountKey, Bytes)>, BookError> {
        // The view has two rows for an account with recent traffic. SQLite fails if a sum overflows.
        let mut sums: BTreeMap<i64, Bytes> = BTreeMap::new();
        for (account, sent, received) in
            self.list("SELECT account, sent, received FROM total", |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        {
            let sum = sums.entry(account).or_default();
            *sum = Bytes { sent: sum.sent.saturating_add(sent), received: sum.received.saturating_add(received) };
        }
        let mut accounts: BTreeMap<i64, AccountKey> = self.accounts()?.into_iter().collect();
        Ok(sums.into_iter().filter_map(|(id, bytes)| Some((id, accounts.remove(&id)?, bytes))).collect())
    }
}
