//! What cumulative counters gained since they were last read. Pure.

use std::collections::HashMap;

use trafcalc_common::maps::Tally;

use crate::capture::Bytes;

/// What of each row was handed out already.
///
/// A row that changes its owner goes on where it stands: nothing is ever taken back from the counters.
#[derive(Default)]
pub(super) struct Counters {
    handed_out: HashMap<u32, Bytes>,
}

impl Counters {
    /// The gain of a row whose CPUs count `shares`; zero if there is none.
    ///
    /// A single CPU's share may be negative, and the sum may for a moment be less than before, when one CPU took back
    /// what the other has not credited yet: then nothing is handed out until it has caught up.
    pub(super) fn gain(&mut self, row: u32, shares: impl IntoIterator<Item = Tally>) -> Bytes {
        let total = shares.into_iter().fold(Tally::default(), |sum, share| Tally {
            sent: sum.sent.wrapping_add(share.sent),
            received: sum.received.wrapping_add(share.received),
        });
        let before = self.handed_out.entry(row).or_default();
        let gain = Bytes { sent: ahead(total.sent, before.sent), received: ahead(total.received, before.received) };
        *before += gain;
        gain
    }

    /// All bytes of a row handed out so far, whoever had it.
    pub(super) fn handed_out(&self, row: u32) -> Bytes {
        self.handed_out.get(&row).copied().unwrap_or_default()
    }
}

/// How far `now` is ahead of `before`; 0 if it is behind.
const fn ahead(now: u64, before: u64) -> u64 {
    let moved = now.wrapping_sub(before);
    if moved.cast_signed() < 0 { 0 } else { moved }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tally(sent: i64, received: i64) -> Tally {
        Tally { sent: sent.cast_unsigned(), received: received.cast_unsigned() }
    }

    #[test]
    fn shares_may_be_negative_and_only_their_sum_counts() {
        let mut counters = Counters::default();
        let gain = counters.gain(1, [tally(-300, 7), tally(1_300, -2)]);
        assert_eq!(gain, Bytes { sent: 1_000, received: 5 });
        assert!(counters.gain(1, [tally(0, 0), tally(1_000, 5)]).is_zero());
    }

    #[test]
    fn a_sum_that_falls_back_is_held_until_it_has_caught_up() {
        let mut counters = Counters::default();
        assert!(!counters.gain(0, [tally(1_000, 0)]).is_zero());
        assert!(counters.gain(0, [tally(1_000, 0), tally(-100, 0)]).is_zero());
        let gain = counters.gain(0, [tally(1_150, 0), tally(-100, 0)]);
        assert_eq!(gain, Bytes { sent: 50, received: 0 });
    }

    proptest! {
        /// However the readings go up and down: no gain is negative, and all of them together are the highest reading.
        #[test]
        fn gains_add_up_to_the_highest_reading(readings in prop::collection::vec(0u64..1 << 62, 1..50)) {
            let mut counters = Counters::default();
            for &sent in &readings {
                counters.gain(7, [Tally { sent, received: 0 }]);
            }
            prop_assert_eq!(counters.handed_out(7).sent, readings.into_iter().max().unwrap());
        }
    }
}
