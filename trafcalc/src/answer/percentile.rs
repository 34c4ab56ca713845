//! The percentile by which transit is billed: the rates of all five minutes of a period are sorted, those in which nothing
//! moved too, the highest are left out, and the highest of the rest counts. Pure.

use crate::book::FINE_S;
use crate::capture::Bytes;

/// Rates in bit/s, rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of what was sent.
    pub sent: u64,
    /// Of what was received.
    pub received: u64,
}

impl Rates {
    /// The higher of the two.
    #[must_use]
    pub fn highest(self) -> u64 {
        self.sent.max(self.received)
    }
}

/// The bytes of each five minutes in which something moved.
#[derive(Default)]
pub(super) struct Samples {
    /// The five minutes that are not over, and what moved in them.
    open: (i64, Bytes),
    sent: Vec<u64>,
    received: Vec<u64>,
}

impl Samples {
    /// Adds to the five minutes that begin at `start_s`, which are not before those of the call before.
    pub fn add(&mut self, start_s: i64, bytes: Bytes) {
        if start_s != self.open.0 {
            self.close();
            self.open.0 = start_s;
        }
        self.open.1 = super::rows::sum(self.open.1, bytes);
    }

    fn close(&mut self) {
        let Bytes { sent, received } = std::mem::take(&mut self.open.1);
        self.sent.extend((sent > 0).then_some(sent));
        self.received.extend((received > 0).then_some(received));
    }

    /// The rates of which `percent` of all samples are no higher, where there are `slots` samples.
    pub fn rates(mut self, percent: u8, slots: usize) -> Rates {
        self.close();
        Rates { sent: rate(self.sent, percent, slots), received: rate(self.received, percent, slots) }
    }
}

/// `moved` has what is not 0 of `slots` samples.
fn rate(mut moved: Vec<u64>, percent: u8, slots: usize) -> u64 {
    let slots = slots.max(moved.len());
    // Rounded down: in doubt one more counts.
    let left_out = slots * usize::from(100 - percent) / 100;
    if left_out >= moved.len() {
        return 0;
    }
    let place = moved.len() - 1 - left_out;
    let (_, bytes, _) = moved.select_nth_unstable(place);
    bits_per_second(*bytes)
}

fn bits_per_second(bytes: u64) -> u64 {
    let seconds = u128::from(FINE_S.unsigned_abs());
    u64::try_from((u128::from(bytes) * 8 + seconds / 2) / seconds).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the definition says it.
    fn naive(samples: &[u64], percent: u8) -> u64 {
        let mut samples = samples.to_vec();
        samples.sort_unstable();
        samples.truncate(samples.len() - samples.len() * usize::from(100 - percent) / 100);
        samples.last().map_or(0, |bytes| bits_per_second(*bytes))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_the_highest_of_what_the_definition_leaves(
            samples in prop::collection::vec(prop_oneof![Just((0, 0)), (0..50_u64, 0..1_u64 << 40)], 0..400), percent in 1..=99_u8,
        ) {
            let mut gathered = Samples::default();
            for (start_s, (sent, received)) in (0..).step_by(300).zip(&samples) {
                // In two halves, as of two accounts.
                gathered.add(start_s, Bytes { sent: sent / 2, received: *received });
                gathered.add(start_s, Bytes { sent: sent - sent / 2, received: 0 });
            }
            let (sent, received): (Vec<u64>, Vec<u64>) = samples.iter().copied().unzip();
            let truth = Rates { sent: naive(&sent, percent), received: naive(&received, percent) };
            prop_assert_eq!(gathered.rates(percent, samples.len()), truth);
        }
    }

    #[test]
    fn of_a_hundred_samples_the_five_highest_do_not_count() {
        let rates = |high: i64| {
            let mut samples = Samples::default();
            (0..high).for_each(|slot| samples.add(300 * slot, Bytes { sent: 37_500_000, received: 75 }));
            samples.rates(95, 100)
        };
        assert_eq!(rates(5), Rates::default());
        assert_eq!(rates(6), Rates { sent: 1_000_000, received: 2 });
        assert_eq!(rates(6).highest(), 1_000_000);
    }
}
