//! Estimates what a period will have at its end, at the average rate of the time counted so far. Pure.

use std::ops::Range;

use super::error::AnswerError;
use super::gaps::Gaps;
use super::reading::Read;
use super::rows::Figures;
use super::times::{Times, moment};
use crate::book::Change;
use crate::capture::Bytes;

/// Adds the estimate to all figures.
pub(super) fn add(read: &mut Read, times: &Times, gaps: &Gaps) -> Result<(), AnswerError> {
    let (counted_s, left_s) = time(&times.counted, &times.period, gaps).ok_or_else(|| nothing_counted(times))?;
    let figures = read.rows.iter_mut().map(|row| &mut row.figures).chain([&mut read.total]);
    figures.for_each(|figures: &mut Figures| {
        figures.estimate = Some(corrected(grown(figures.bytes, counted_s, left_s), figures.change));
    });
    Ok(())
}

fn nothing_counted(times: &Times) -> AnswerError {
    let said = |second| moment(second, &times.zone);
    AnswerError::NothingCounted { from: said(times.period.start), to: said(times.period.end) }
}

/// How many seconds of a period were counted, and how many of it are left; `None` if none were counted.
pub(super) fn time(counted: &Range<i64>, period: &Range<i64>, gaps: &Gaps) -> Option<(u64, u64)> {
    let in_gaps = Gaps::within(gaps.0.clone(), counted).length();
    let counted_s = (counted.end - counted.start).saturating_sub_unsigned(in_gaps.as_secs());
    let (counted_s, left_s) = (u64::try_from(counted_s).ok()?, u64::try_from(period.end - counted.end).ok()?);
    (counted_s > 0).then_some((counted_s, left_s))
}

/// The bytes after `left_s` more seconds at the average rate of `counted_s` seconds, rounded down.
fn grown(bytes: Bytes, counted_s: u64, left_s: u64) -> Bytes {
    Bytes { sent: grow(bytes.sent, counted_s, left_s), received: grow(bytes.received, counted_s, left_s) }
}

/// A correction is added once and is not extrapolated.
const fn corrected(bytes: Bytes, change: Change) -> Bytes {
    let add = u64::saturating_add_signed;
    Bytes { sent: add(bytes.sent, change.sent), received: add(bytes.received, change.received) }
}

/// Like `grown`, for one number.
pub(super) fn grow(bytes: u64, counted_s: u64, left_s: u64) -> u64 {
    let all = u128::from(bytes) * (u128::from(counted_s) + u128::from(left_s)) / u128::from(counted_s);
    u64::try_from(all).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correction_does_not_grow() {
        let (bytes, change) = (Bytes { sent: 10, received: 5 }, Change { sent: -20, received: 1 });
        assert_eq!(corrected(bytes, change), Bytes { sent: 0, received: 6 });
    }

    #[test]
    fn it_grows_as_it_did() {
        let bytes = Bytes { sent: 1_000, received: 7 };
        assert_eq!(grown(bytes, 10, 20), Bytes { sent: 3_000, received: 21 });
        assert_eq!(grown(bytes, 10, 0), bytes);
        assert_eq!(grown(Bytes { sent: u64::MAX, received: 0 }, 1, u64::MAX).sent, u64::MAX);
    }
}
