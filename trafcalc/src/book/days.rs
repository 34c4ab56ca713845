//! The book's sums of today and of this month, for clients of a running service.

use jiff::civil::Date;

use super::accounts::{AccountKey, kind};
use super::error::BookError;
use super::reader::Reader;
use crate::capture::Bytes;

/// What one account moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfDays {
    /// On the last day.
    pub day: Bytes,
    /// From the first day on.
    pub all: Bytes,
}

/// What accounts moved within some days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Days {
    /// The last report in these sums, epoch and number; `None` if there is none yet.
    pub last: Option<(u64, u64)>,
    /// Each account that has rows of these days.
    pub accounts: Vec<(AccountKey, OfDays)>,
}

impl Reader {
    /// What accounts moved from day `first` to day `last`. Days are those of the zone of the epoch that wrote them.
    pub fn days(&self, first: Date, last: Date) -> Result<Days, BookError> {
        let sql = format!(
            "SELECT kind, uid, user, program, unit, class, sum(iif(date = '{last}', sent, 0)), \
             sum(iif(date = '{last}', received, 0)), sum(sent), sum(received) FROM day JOIN account ON account.id = day.account \
             WHERE date >= '{first}' AND date <= '{last}' GROUP BY day.account"
        );
        let accounts = self.list(&sql, |row| {
            let (program, unit, class) = (row.get(3)?, row.get(4)?, row.get(5)?);
            let key = AccountKey { kind: kind(row.get(0)?), uid: row.get(1)?, user: row.get(2)?, program, unit, class };
            let day = Bytes { sent: row.get(6)?, received: row.get(7)? };
            let all = Bytes { sent: row.get(8)?, received: row.get(9)? };
            Ok((key, OfDays { day, all }))
        })?;
        let last = self.list("SELECT epoch, seq FROM report ORDER BY epoch DESC, seq DESC LIMIT 1", |row| {
            Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs()))
        })?;
        Ok(Days { last: last.first().copied(), accounts })
    }
}
