//! The gaps within a period. Pure.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use super::times::at;
use crate::book::Gap;

/// The gaps in a period, clipped to it, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps(pub Vec<Gap>);

impl Gaps {
    pub(super) fn within(gaps: Vec<Gap>, period: &Range<i64>) -> Self {
        let cut = |Gap { from, to, cause }: Gap| {
            let (from, to) = (from.max(time(period.start)), to.min(time(period.end)));
            (from < to).then_some(Gap { from, to, cause })
        };
        Self(gaps.into_iter().filter_map(cut).collect())
    }

    /// Their total length. Overlaps count once.
    #[must_use]
    pub fn length(&self) -> Duration {
        let add = |(length, until): (Duration, SystemTime), gap: &Gap| {
            let from = gap.from.max(until);
            (length + gap.to.duration_since(from).unwrap_or_default(), gap.to.max(until))
        };
        self.0.iter().fold((Duration::ZERO, time(i64::MIN)), add).0
    }

    /// The `most` longest ones, in order of time.
    #[must_use]
    pub fn longest(&self, most: usize) -> Vec<&Gap> {
        let mut gaps: Vec<_> = self.0.iter().collect();
        gaps.sort_by_key(|gap| std::cmp::Reverse(gap.to.duration_since(gap.from).unwrap_or_default()));
        gaps.truncate(most);
        gaps.sort_by_key(|gap| gap.from);
        gaps
    }
}

/// A gap of whole seconds.
pub(super) fn gap(seconds: &Range<i64>, cause: &str) -> Gap {
    Gap { from: time(seconds.start), to: time(seconds.end), cause: cause.to_owned() }
}

fn time(second: i64) -> SystemTime {
    at(second).try_into().unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from: i64, to: i64) -> Gap {
        super::gap(&(from..to), "why")
    }

    #[test]
    fn gaps_are_cut_to_the_period_and_common_time_counts_once() {
        let gaps = Gaps::within(vec![gap(0, 20), gap(15, 40), gap(16, 18), gap(90, 200), gap(100, 120)], &(10..100));
        assert_eq!(gaps.0, [gap(10, 20), gap(15, 40), gap(16, 18), gap(90, 100)]);
        assert_eq!(gaps.length(), Duration::from_secs(30 + 10));
        assert_eq!(gaps.longest(2), [&gap(10, 20), &gap(15, 40)]);
        assert_eq!(Gaps::default().length(), Duration::ZERO);
    }
}
