//! The percentile by which transit is billed. The rates of all five-minute slots of a period are sorted, including
//! those in which nothing moved. The highest are left out, and the highest of the rest counts. Pure.

use std::collections::HashMap;
use std::ops::Range;

use super::rows::Rank;
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

/// The five-minute samples of a part of the period.
#[derive(Default)]
pub(super) struct Samples {
    /// The current five minutes, and what moved in them so far.
    open: (i64, Bytes),
    sent: Highest,
    received: Highest,
}

impl Samples {
    /// Keeps the samples of `part` that the percentile `percent` needs.
    pub fn new(percent: u8, part: &Range<i64>) -> Self {
        // The first and the last slot may extend beyond the part.
        let most = usize::try_from((part.end - part.start) / FINE_S).unwrap_or(0) + 2;
        let highest = || Highest { needed: left_out(most, percent) + 1, ..Highest::default() };
        Self { sent: highest(), received: highest(), ..Self::default() }
    }

    /// Adds to the five minutes that begin at `start_s`. Calls come in order of time.
    pub fn add(&mut self, start_s: i64, bytes: Bytes) {
        if start_s != self.open.0 {
            self.close();
            self.open.0 = start_s;
        }
        self.open.1 = super::rows::sum(self.open.1, bytes);
    }

    fn is_empty(&self) -> bool {
        self.open.1.is_zero() && self.sent.count == 0 && self.received.count == 0
    }

    fn close(&mut self) {
        let Bytes { sent, received } = std::mem::take(&mut self.open.1);
        self.sent.add(sent);
        self.received.add(received);
    }

    /// The percentile `percent` of the rates, where the part has `slots` samples.
    pub fn rates(mut self, percent: u8, slots: usize) -> Rates {
        self.close();
        Rates { sent: self.sent.rate(percent, slots), received: self.received.rate(percent, slots) }
    }
}

/// The highest of many samples, only as many as may be needed. A month has nine thousand samples, and one in twenty is
/// needed.
#[derive(Default)]
struct Highest {
    /// How many may be needed.
    needed: usize,
    /// At least these, unordered.
    highest: Vec<u64>,
    /// `needed` samples are at or above it, so a sample that is not above it is not needed.
    floor: u64,
    /// How many were not 0.
    count: usize,
}

impl Highest {
    fn add(&mut self, bytes: u64) {
        self.count += usize::from(bytes > 0);
        if bytes > self.floor {
            self.highest.push(bytes);
            if self.highest.len() >= 2 * self.needed {
                let (_, floor, _) = self.highest.select_nth_unstable_by(self.needed - 1, |one, other| other.cmp(one));
                self.floor = *floor;
                self.highest.truncate(self.needed);
            }
        }
    }

    fn rate(mut self, percent: u8, slots: usize) -> u64 {
        let place = left_out(slots.max(self.count), percent);
        if place >= self.highest.len() {
            return 0;
        }
        let (_, bytes, _) = self.highest.select_nth_unstable_by(place, |one, other| other.cmp(one));
        bits_per_second(*bytes)
    }
}

/// How many samples are left out. Rounded down: in doubt one more sample counts.
fn left_out(slots: usize, percent: u8) -> usize {
    slots * usize::from(100 - percent) / 100
}

/// The samples of each part and rank.
pub(super) struct Cells {
    percent: u8,
    done: HashMap<(i64, Rank), Samples>,
    /// The current part. Calls come in order of time.
    at: Range<i64>,
    /// Its samples by rank; those of the others come last.
    part: Vec<Samples>,
}

impl Cells {
    pub fn new(percent: u8, ranks: usize) -> Self {
        let part = std::iter::repeat_with(Samples::default).take(ranks + 1).collect();
        Self { percent, done: HashMap::new(), at: i64::MIN..i64::MIN, part }
    }

    /// Adds to the five minutes that begin at `start_s`.
    pub fn add(&mut self, part: &Range<i64>, rank: Rank, start_s: i64, bytes: Bytes) {
        if *part != self.at {
            self.close_part();
            self.at = part.clone();
            self.part.iter_mut().for_each(|samples| *samples = Samples::new(self.percent, part));
        }
        let others = self.part.len() - 1;
        self.part[rank.unwrap_or(others)].add(start_s, bytes);
    }

    pub fn close(mut self) -> HashMap<(i64, Rank), Samples> {
        self.close_part();
        self.done
    }

    fn close_part(&mut self) {
        let (part_s, others) = (self.at.start, self.part.len() - 1);
        let samples = self.part.iter_mut().enumerate().filter(|(_, samples)| !samples.is_empty());
        let samples =
            samples.map(|(place, samples)| (Some(place).filter(|place| *place < others), std::mem::take(samples)));
        self.done.extend(samples.map(|(rank, samples)| ((part_s, rank), samples)));
    }
}

fn bits_per_second(bytes: u64) -> u64 {
    let seconds = u128::from(FINE_S.unsigned_abs());
    u64::try_from((u128::from(bytes) * 8 + seconds / 2) / seconds).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, computed directly.
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
            let end_s = 300 * i64::try_from(samples.len()).unwrap();
            let mut gathered = Samples::new(percent, &(0..end_s));
            for (start_s, (sent, received)) in (0..).step_by(300).zip(&samples) {
                // In two halves, as from two accounts.
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
            let mut samples = Samples::new(95, &(0..30_000));
            (0..high).for_each(|slot| samples.add(300 * slot, Bytes { sent: 37_500_000, received: 75 }));
            samples.rates(95, 100)
        };
        assert_eq!(rates(5), Rates::default());
        assert_eq!(rates(6), Rates { sent: 1_000_000, received: 2 });
        assert_eq!(rates(6).highest(), 1_000_000);
    }
}
