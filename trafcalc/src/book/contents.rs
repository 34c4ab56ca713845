//! What a book has, for those who read it: since when, until when, and from when on each kind of row.

use jiff::civil::Date;

use super::error::BookError;
use super::reader::Reader;
use super::{FINE_KEPT, HOURS_KEPT};

/// How much later than its last report a book may have been trimmed.
const TRIMMED_LATER_S: i64 = 3600;

/// What a book has, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// When it was begun.
    pub begun_s: i64,
    /// When the last report ended, rounded up; when it was begun, where there is none.
    pub until_s: i64,
    /// The lives of the service, in order.
    pub lives: Vec<Life>,
    /// The first and the last day that has a row.
    pub days: Option<(Date, Date)>,
    /// From when on no row of five minutes was removed.
    pub fine_from_s: i64,
    /// From when on no row of hours was removed.
    pub hours_from_s: i64,
}

/// A life of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// When what it booked first began to move, in seconds since 1970.
    pub from_s: i64,
    /// What its hours and days are reckoned in, where that has a name.
    pub zone: Option<String>,
}

impl Reader {
    /// What there is.
    pub fn contents(&self) -> Result<Contents, BookError> {
        let begun_us = self.number("SELECT value FROM meta WHERE key = 'begun_us'")?;
        let last = self.row("SELECT end_us FROM report ORDER BY epoch DESC, seq DESC LIMIT 1")?;
        let until_s = last.unwrap_or(begun_us).saturating_add(999_999).div_euclid(1_000_000);
        // What is kept for a time is removed from its beginning on.
        let kept_from = |kept_s: u64, first: Option<i64>| {
            let kept_from = until_s.saturating_add(TRIMMED_LATER_S).saturating_sub_unsigned(kept_s);
            first.map_or(kept_from, |first| first.min(kept_from))
        };
        Ok(Contents {
            begun_s: begun_us.div_euclid(1_000_000),
            until_s,
            lives: self.lives()?,
            days: self.days()?,
            fine_from_s: kept_from(FINE_KEPT.as_secs(), self.row("SELECT min(start_s) FROM fine")?),
            hours_from_s: kept_from(HOURS_KEPT.as_secs(), self.row("SELECT min(start_s) FROM hour")?),
        })
    }

    fn lives(&self) -> Result<Vec<Life>, BookError> {
        // The first report of a life may have what moved since the former one.
        let begun = "min(started_us, ifnull((SELECT start_us FROM report WHERE epoch = epoch.id ORDER BY seq LIMIT 1), started_us))";
        self.list(&format!("SELECT {begun}, zone FROM epoch ORDER BY id"), |row| {
            Ok(Life { from_s: row.get::<_, i64>(0)?.div_euclid(1_000_000), zone: row.get(1)? })
        })
    }

    fn days(&self) -> Result<Option<(Date, Date)>, BookError> {
        let date = |sql: &str| -> Result<Option<String>, BookError> { self.row(sql) };
        // Years before 0 begin with a minus.
        let first = date("SELECT min(date) FROM day WHERE date >= '0'")?.and_then(|date| date.parse().ok());
        let last = date("SELECT max(date) FROM day WHERE date >= '0'")?.and_then(|date| date.parse().ok());
        Ok(first.zip(last))
    }
}
