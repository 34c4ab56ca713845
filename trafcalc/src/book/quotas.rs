//! Finds out which quota steps each report reaches, from the daily rows and the corrections, in the transaction that
//! books the report. So each step is reported once in a period, even if the service is killed.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{Connection, params};

use super::accounts::{AccountKey, kind};
use super::borders::day_row;
use super::commit::number;
use super::error::BookError;
use super::quota::{GroupMembers, Quota, QuotaPeriod, Reached};
use super::reader::Reader;

/// The quotas of a service.
pub struct Quotas {
    list: Vec<Quota>,
    members: Arc<dyn GroupMembers>,
    past: Option<Past>,
}

/// What moved in the periods, except on the day of the last report. A month with many accounts has many rows, which
/// seldom change.
struct Past {
    date: Date,
    /// `PRAGMA data_version`: changes when another connection writes to the book.
    data_version: i64,
    members_version: u64,
    /// In the order of `list`.
    used: Vec<i128>,
}

/// An account with the bytes it sent and received. Signed, because corrections may be negative.
type Moved = (AccountKey, i128, i128);

impl Quotas {
    /// Quotas `list`; `members` knows which groups users are in.
    #[must_use]
    pub fn new(list: Vec<Quota>, members: Arc<dyn GroupMembers>) -> Self {
        Self { list, members, past: None }
    }

    /// Drops what is remembered: another book is written from now on, or accounts have got other names.
    pub fn forget(&mut self) {
        self.past = None;
    }

    /// The steps that a report of this date reaches and no earlier report has reached. Notes that they are reported
    /// with it.
    pub(super) fn reached(
        &mut self,
        book: &Connection,
        (zone, billing_day): (&TimeZone, i8),
        date: Date,
        (epoch, seq): (i64, u64),
    ) -> rusqlite::Result<Vec<Reached>> {
        let mut reached = Vec::new();
        if self.list.is_empty() {
            return Ok(reached);
        }
        let past = self.past(book, date, billing_day)?;
        let today = moved(book, &(date..date.saturating_add(jiff::Span::new().days(1))), None)?;
        let mut tell = book.prepare_cached("INSERT OR IGNORE INTO quota_step VALUES(?1, ?2, ?3, ?4, ?5, ?6)")?;
        for (quota, past) in self.list.iter().zip(past) {
            let used = positive(past + sum(quota, &*self.members, &today));
            for step in quota.steps(used) {
                let dates = quota.period.dates(date, billing_day);
                // The first date, not the period's name: with another billing day the name means another time.
                let period = format!("{} {}", quota.period.name(), dates.start);
                let told = tell.execute(params![quota.name, period, number(quota.limit), step, epoch, number(seq)])?;
                if told > 0 {
                    let seconds = day_row(dates.start, zone).start..day_row(dates.end, zone).start;
                    let Quota { name, period, direction, limit, .. } = quota;
                    let (quota, period, direction, limit) = (name.clone(), *period, *direction, *limit);
                    reached.push(Reached { quota, period, seconds, direction, step, used, limit });
                }
            }
        }
        Ok(reached)
    }

    fn past(&mut self, book: &Connection, date: Date, billing_day: i8) -> rusqlite::Result<Vec<i128>> {
        let data_version = book.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        let members_version = self.members.version();
        let is_good =
            |past: &Past| (past.date, past.data_version, past.members_version) == (date, data_version, members_version);
        if let Some(past) = self.past.as_ref().filter(|past| is_good(past)) {
            return Ok(past.used.clone());
        }
        // A month has many rows, so they are read once for all quotas.
        let mut months = None;
        let used = self.list.iter().map(|quota| {
            let moved = match (quota.period, &mut months) {
                // A period of one day has no other day.
                (QuotaPeriod::Day, _) => return Ok(0),
                (QuotaPeriod::Month, Some(moved)) => moved,
                (QuotaPeriod::Month, months) => {
                    months.insert(moved(book, &quota.period.dates(date, billing_day), Some(date))?)
                }
            };
            Ok(sum(quota, &*self.members, moved))
        });
        let used: Vec<_> = used.collect::<rusqlite::Result<_>>()?;
        self.past = Some(Past { date, data_version, members_version, used: used.clone() });
        Ok(used)
    }
}

/// What the accounts of a quota moved, in the quota's direction.
pub(crate) fn sum(quota: &Quota, members: &dyn GroupMembers, moved: &[Moved]) -> i128 {
    let moved = moved.iter().filter(|(account, ..)| quota.has(account, members));
    moved.map(|(_, sent, received)| quota.direction.of(*sent, *received)).sum()
}

fn positive(bytes: i128) -> u64 {
    u64::try_from(bytes.max(0)).unwrap_or(u64::MAX)
}

/// Which rows are summed.
#[derive(Clone, Copy)]
enum Rows {
    Measured,
    Corrections,
}

/// What each account moved on these dates, except `except`, with corrections.
fn moved(book: &Connection, dates: &Range<Date>, except: Option<Date>) -> rusqlite::Result<Vec<Moved>> {
    let mut moved = rows(book, Rows::Measured, dates, except)?;
    moved.extend(rows(book, Rows::Corrections, dates, except)?);
    Ok(moved)
}

/// What each account has in these rows on these dates, except `except`. Summed here, because `SQLite` fails on a sum
/// that overflows 64 bits, and a quota must never keep a report from being booked.
fn rows(book: &Connection, of: Rows, dates: &Range<Date>, except: Option<Date>) -> rusqlite::Result<Vec<Moved>> {
    let text = |date: Date| date.to_string();
    let mut sums: HashMap<i64, (i128, i128)> = HashMap::new();
    let mut ask = book.prepare_cached(match of {
        Rows::Measured => "SELECT account, sent, received FROM day WHERE date >= ?1 AND date < ?2 AND date IS NOT ?3",
        Rows::Corrections => {
            "SELECT account, sent, received FROM correction WHERE booked >= ?1 AND booked < ?2 AND booked IS NOT ?3"
        }
    })?;
    let mut rows = ask.query(params![text(dates.start), text(dates.end), except.map(text)])?;
    while let Some(row) = rows.next()? {
        let (sent, received) = sums.entry(row.get(0)?).or_default();
        *sent += i128::from(row.get::<_, i64>(1)?);
        *received += i128::from(row.get::<_, i64>(2)?);
    }
    let mut ask = book.prepare_cached("SELECT kind, uid, user, program, unit, class FROM account WHERE id = ?1")?;
    let of_account = |(id, (sent, received))| {
        let key = ask.query_row([id], |row| {
            let (program, unit, class) = (row.get(3)?, row.get(4)?, row.get(5)?);
            Ok(AccountKey { kind: kind(row.get(0)?), uid: row.get(1)?, user: row.get(2)?, program, unit, class })
        })?;
        Ok((key, sent, received))
    };
    sums.into_iter().map(of_account).collect()
}

/// What counts for a quota, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// What was measured.
    pub measured: u64,
    /// By how much corrections change that.
    pub corrected: i128,
}

impl Used {
    /// The sum of both; not less than 0.
    #[must_use]
    pub fn bytes(self) -> u64 {
        positive(i128::from(self.measured) + self.corrected)
    }
}

impl Reader {
    /// The bytes of each quota in its period that contains `date`, in the order of `quotas`. Months begin on
    /// `billing_day`.
    pub fn quotas(
        &self,
        quotas: &[Quota],
        members: &dyn GroupMembers,
        date: Date,
        billing_day: i8,
    ) -> Result<Vec<Used>, BookError> {
        let used = |quota: &Quota| {
            let of = |of| self.ask(|book| rows(book, of, &quota.period.dates(date, billing_day), None));
            let measured = positive(sum(quota, members, &of(Rows::Measured)?));
            Ok(Used { measured, corrected: sum(quota, members, &of(Rows::Corrections)?) })
        };
        quotas.iter().map(used).collect()
    }
}
