//! What cumulative counters gained since they were last read. Pure.

use std::collections::HashMap;

use trafcalc_common::maps::Tally;

use crate::capture::{Bytes, Owner};

/// What of each account was handed out already.
#[derive(Default)]
pub(super) struct Counters {
    handed_out: HashMap<Owner, Bytes>,
}

impl Counters {
    /// The gain of an account whose CPUs count `shares`; `None` if there is none.
    ///
    /// A single CPU's share may be negative, and the sum may for a moment be less than before, when one CPU took back
    /// what the other has not credited yet: then nothing is handed out until it has caught up.
    pub(super) fn gain(&mut self, owner: Owner, shares: impl IntoIterator<Item = Tally>) -> Option<(Owner, Bytes)> {
        let total = shares.into_iter().fold(Tally::default(), |sum, share| Tally {
            sent: sum.sent.wrapping_add(share.sent),
            received: sum.received.wrapping_add(share.received),
        });
        let before = self.handed_out.entry(owner).or_default();
        let gain = Bytes { sent: ahead(total.sent, before.sent), received: ahead(total.received, before.received) };
        *before += gain;
        (!gain.is_zero()).then_some((owner, gain))
    }

    /// All bytes of an account handed out so far.
    pub(super) fn handed_out(&self, owner: Owner) -> Bytes {
        self.handed_out.get(&owner).copied().unwrap_or_default()
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
        let gain = counters.gain(Owner::User(1), [tally(-300, 7), tally(1_300, -2)]);
        assert_eq!(gain, Some((Owner::User(1), Bytes { sent: 1_000, received: 5 })));
        assert_eq!(counters.gain(Owner::User(1), [tally(0, 0), tally(1_000, 5)]), None);
    }

    #[test]
    fn a_sum_that_falls_back_is_held_until_it_has_caught_up() {
        let mut counters = Counters::default();
        assert!(counters.gain(Owner::Other, [tally(1_000, 0)]).is_some());
        assert_eq!(counters.gain(Owner::Other, [tally(1_000, 0), tally(-100, 0)]), None);
        let gain = counters.gain(Owner::Other, [tally(1_150, 0), tally(-100, 0)]);
        assert_eq!(gain, Some((Owner::Other, Bytes { sent: 50, received: 0 })));
    }

    proptest! {
        /// However the readings go up and down: no gain is negative, and all of them together are the highest reading.
        #[test]
        fn gains_add_up_to_the_highest_reading(readings in prop::collection::vec(0u64..1 << 62, 1..50)) {
            let mut counters = Counters::default();
            for &sent in &readings {
                counters.gain(Owner::User(0), [Tally { sent, received: 0 }]);
            }
            prop_assert_eq!(counters.handed_out(Owner::User(0)).sent, readings.into_iter().max().unwrap());
        }
    }
}
