//! What a period will have at its end, if it goes on as it did while it was counted. Pure.

use super::error::AnswerError;
use super::gaps::Gaps;
use super::reading::Read;
use super::rows::Figures;
use super::times::{Times, moment};
use crate::capture::Bytes;

/// Adds it to all figures.
pub(super) fn add(read: &mut Read, times: &Times, gaps: &Gaps) -> Result<(), AnswerError> {
    let in_gaps = Gaps::within(gaps.0.clone(), &times.counted).length();
    let counted_s = (times.counted.end - times.counted.start).saturating_sub_unsigned(in_gaps.as_secs());
    let (Ok(counted_s), Ok(left_s)) = (u64::try_from(counted_s), u64::try_from(times.period.end - times.counted.end))
    else {
        return Err(nothing_counted(times));
    };
    if counted_s == 0 {
        return Err(nothing_counted(times));
    }
    let figures = read.rows.iter_mut().map(|row| &mut row.figures).chain([&mut read.total]);
    figures.for_each(|figures: &mut Figures| figures.estimate = Some(grown(figures.bytes, counted_s, left_s)));
    Ok(())
}

fn nothing_counted(times: &Times) -> AnswerError {
    let said = |second| moment(second, &times.zone);
    AnswerError::NothingCounted { from: said(times.period.start), to: said(times.period.end) }
}

/// What there is after `left_s` more seconds, if it goes on as in `counted_s` seconds; rounded down.
fn grown(bytes: Bytes, counted_s: u64, left_s: u64) -> Bytes {
    let grow = |bytes: u64| {
        let all = u128::from(bytes) * (u128::from(counted_s) + u128::from(left_s)) / u128::from(counted_s);
        u64::try_from(all).unwrap_or(u64::MAX)
    };
    Bytes { sent: grow(bytes.sent), received: grow(bytes.received) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_as_it_did() {
        let bytes = Bytes { sent: 1_000, received: 7 };
        assert_eq!(grown(bytes, 10, 20), Bytes { sent: 3_000, received: 21 });
        assert_eq!(grown(bytes, 10, 0), bytes);
        assert_eq!(grown(Bytes { sent: u64::MAX, received: 0 }, 1, u64::MAX).sent, u64::MAX);
    }
}
