//! Computes what cumulative counters gained since they were last read. Pure.

use std::collections::{BTreeSet, HashMap};

use trafcalc_common::maps::Tally;

use crate::capture::Bytes;

/// How many bytes of each row were handed out.
///
/// A row that gets a new owner continues from its current value: counters are never reset.
#[derive(Default)]
pub(super) struct Counters {
    handed_out: HashMap<u32, Bytes>,
    /// Rows that gained something since the last call of [`Counters::changes`].
    changed: BTreeSet<u32>,
    /// Rows with bytes that were handed out and not reported.
    unreported: BTreeSet<u32>,
}

impl Counters {
    /// The gain of a row whose per-CPU values are `shares`; zero if there is none.
    ///
    /// A single CPU's share may be negative, and the sum may for a moment be less than before, when one CPU has subtracted what another
    /// has not added yet. Then nothing is handed out until the sum has caught up.
    pub(super) fn gain(&mut self, row: u32, shares: impl IntoIterator<Item = Tally>) -> Bytes {
        let total = shares.into_iter().fold(Tally::default(), |sum, share| Tally {
            sent: sum.sent.wrapping_add(share.sent),
            received: sum.received.wrapping_add(share.received),
        });
        let before = self.handed_out.entry(row).or_default();
        let gain = Bytes { sent: ahead(total.sent, before.sent), received: ahead(total.received, before.received) };
        *before += gain;
        if !gain.is_zero() {
            self.changed.insert(row);
            self.unreported.insert(row);
        }
        gain
    }

    /// Counters of which former processes handed out and reported these amounts. If a row occurs more than once, the largest amount
    /// counts.
    pub(super) fn reported_before(rows: impl IntoIterator<Item = (u32, Bytes)>) -> Self {
        let mut handed_out: HashMap<u32, Bytes> = HashMap::new();
        for (row, Bytes { sent, received }) in rows {
            let known = handed_out.entry(row).or_default();
            known.sent += ahead(sent, known.sent);
            known.received += ahead(received, known.received);
        }
        Self { handed_out, ..Self::default() }
    }

    /// The rows that gained something since the last call, with their totals.
    pub(super) fn changes(&mut self) -> Vec<(u32, Bytes)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|row| (row, self.handed_out(row))).collect()
    }

    /// All rows that ever gained something, with their totals.
    pub(super) fn all(&self) -> Vec<(u32, Bytes)> {
        self.handed_out.iter().filter(|(_, bytes)| !bytes.is_zero()).map(|(&row, &bytes)| (row, bytes)).collect()
    }

    /// Marks everything as reported. Returns the rows for which that is new, with their totals.
    pub(super) fn report(&mut self) -> Vec<(u32, Bytes)> {
        let unreported = std::mem::take(&mut self.unreported);
        unreported.into_iter().map(|row| (row, self.handed_out(row))).collect()
    }

    /// Whether all handed-out bytes of a row are reported.
    pub(super) fn is_reported(&self, row: u32) -> bool {
        !self.unreported.contains(&row)
    }

    /// All bytes of a row that were handed out so far, for any owner.
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

    #[test]
    fn what_a_former_process_reported_is_not_handed_out_again() {
        let mut counters = Counters::reported_before([(3, Bytes { sent: 700, received: 9 })]);
        assert_eq!(counters.gain(3, [tally(1_000, 9)]), Bytes { sent: 300, received: 0 });
        assert!(!counters.is_reported(3) && counters.is_reported(4));
        let now = vec![(3, Bytes { sent: 1_000, received: 9 })];
        assert_eq!((counters.changes(), counters.changes()), (now.clone(), vec![]));
        assert_eq!((counters.report(), counters.report()), (now, vec![]));
        assert!(counters.is_reported(3));
    }

    #[test]
    fn the_later_of_two_notes_counts() {
        let bytes = |sent, received| Bytes { sent, received };
        let mut counters = Counters::reported_before([(3, bytes(700, 9)), (4, bytes(5, 5)), (3, bytes(600, 11))]);
        assert_eq!(counters.gain(3, [tally(1_000, 11)]), bytes(300, 0));
        assert!(counters.gain(4, [tally(5, 5)]).is_zero());
    }

    proptest! {
        /// However the readings rise and fall: no gain is negative, and all gains add up to the highest reading.
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
