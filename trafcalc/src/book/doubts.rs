//! Known weaknesses of the book's figures: bytes booked under another time than they moved at, and what the service
//! could not count. It reaches back as far as the book has single reports.

use std::ops::Range;

use super::borders::FINE_S;
use super::error::BookError;
use super::opened::STOPPED;
use super::reader::Reader;

/// Bytes in other five minutes than they moved in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    /// When they moved, in seconds since 1970.
    pub moved: Range<i64>,
    /// The beginning of the five minutes they are booked in.
    pub row_s: i64,
    /// The cause.
    pub why: Delay,
}

/// Why bytes were counted or booked late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// No service ran, but the programs in the kernel went on counting.
    Kept,
    /// The service was stopped; the next one counted what open connections had moved meanwhile.
    Stopped,
    /// The book could not be written for so long that waiting reports were merged into one.
    Merged,
}

/// The longest normal report: a row's length, and a second because a report may come slightly late.
const LONG_US: i64 = (FINE_S + 1) * 1_000_000;

/// A report and how it follows the one before.
struct Told {
    start_us: i64,
    end_us: i64,
    before_us: i64,
    /// Whether it is the first report of an epoch, and began later than the last report of the epoch before had ended.
    is_behind_hole: bool,
    /// Whether that time is noted as a gap.
    is_gap: bool,
    /// Whether open connections may have shown what moved in the gap.
    may_tell: bool,
}

impl Told {
    /// The five minutes it is booked in: those of its middle.
    fn row_s(&self) -> i64 {
        let middle_us = self.end_us - (self.end_us - self.start_us).max(0) / 2;
        middle_us.saturating_sub(1).div_euclid(1_000_000).div_euclid(FINE_S) * FINE_S
    }

    fn late(&self) -> impl Iterator<Item = Late> {
        let row_s = self.row_s();
        let late = move |from_us: i64, to_us: i64, why| Late {
            moved: from_us.div_euclid(1_000_000)..to_us.saturating_add(999_999).div_euclid(1_000_000),
            row_s,
            why,
        };
        // Bytes that moved in the same five minutes are in the right row.
        let is_before = self.is_behind_hole && self.before_us < row_s.saturating_mul(1_000_000);
        let why = match (self.is_gap, self.may_tell) {
            (false, _) => Some(Delay::Kept),
            (true, true) => Some(Delay::Stopped),
            (true, false) => None,
        };
        let hole = why.filter(|_| is_before).map(|why| late(self.before_us, self.start_us, why));
        let is_long = self.end_us.saturating_sub(self.start_us) > LONG_US;
        hole.into_iter().chain(is_long.then(|| late(self.start_us, self.end_us, Delay::Merged)))
    }
}

impl Late {
    fn concerns(&self, period: &Range<i64>) -> bool {
        let (from, to) = (self.moved.start.min(self.row_s), self.moved.end.max(self.row_s + FINE_S));
        from < period.end && period.start < to
    }
}

impl Reader {
    /// Bytes that moved in `period` but are booked in other five minutes, and bytes booked in five minutes of `period`
    /// that moved before; in order.
    ///
    /// Nothing can be missing between two reports of one epoch: each begins where the former ended, by a monotonic
    /// clock. If their wall times disagree, the clock was set or the host slept. Bytes that a closed month had no room
    /// for are in [`Reader::moved_on`].
    pub fn late(&self, period: &Range<i64>) -> Result<Vec<Late>, BookError> {
        let between = "gap.from_us < told.start_us AND gap.to_us > told.before_us";
        let sql = format!(
            "WITH told AS (
                 SELECT epoch, seq, start_us, end_us, lag(end_us) OVER life AS before_us, lag(epoch) OVER life AS former
                 FROM report WINDOW life AS (ORDER BY epoch, seq)
             )
             SELECT start_us, end_us, ifnull(before_us, start_us), ifnull(former <> epoch AND before_us < start_us, 0),
                 EXISTS (SELECT 1 FROM gap WHERE {between}),
                 EXISTS (
                     SELECT 1 FROM gap JOIN epoch AS life ON life.id = told.epoch WHERE {between} AND cause = '{STOPPED}'
                     AND (life.backend, life.boot_id) = (SELECT backend, boot_id FROM epoch WHERE id = told.former)
                 )
             FROM told WHERE ((former <> epoch AND before_us < start_us) OR end_us - start_us > {LONG_US})
                 AND (epoch, seq) NOT IN (SELECT epoch, seq FROM late)"
        );
        let told = self.list(&sql, |row| {
            let (start_us, end_us, before_us) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (is_behind_hole, is_gap, may_tell) = (row.get(3)?, row.get(4)?, row.get(5)?);
            Ok(Told { start_us, end_us, before_us, is_behind_hole, is_gap, may_tell })
        })?;
        Ok(told.iter().flat_map(Told::late).filter(|late| late.concerns(period)).collect())
    }

    /// By how much each health counter grew in `period`, by its name in reports. Counters that did not grow are left
    /// out.
    pub fn health(&self, period: &Range<i64>) -> Result<Vec<(String, u64)>, BookError> {
        let micros = |second: i64| second.saturating_mul(1_000_000);
        let (from, to) = (micros(period.start), micros(period.end));
        // Counters start at 0 in each epoch. Its growth is the value in its last report of the period less that in its
        // last report before the period.
        let sql = format!(
            "WITH told(epoch, seq, sign) AS (
                 SELECT epoch, max(seq), 1 FROM report WHERE end_us > {from} AND start_us < {to} GROUP BY epoch
                 UNION ALL
                 SELECT epoch, max(seq), -1 FROM report WHERE end_us <= {from} GROUP BY epoch
             ), grown AS (
                 SELECT key, sum(sign * value) AS number FROM told JOIN report USING (epoch, seq),
                     json_each(CASE WHEN json_valid(health) THEN health ELSE '{{}}' END)
                 WHERE type = 'integer' GROUP BY epoch, key HAVING number > 0
             )
             SELECT key, CAST(sum(number) AS INTEGER) FROM grown GROUP BY key ORDER BY key"
        );
        self.list(&sql, |row| Ok((row.get(0)?, row.get(1)?)))
    }
}
