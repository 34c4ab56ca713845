//! How large the maps are. The kernel allocates all of it at the start.

use std::ops::Range;

use trafcalc_common::actor::EPOCH_BITS;
use trafcalc_common::maps::BUCKET_STREAMS;

use super::modes::Looks;

use crate::capture::EbpfSettings;

/// Connections beyond those that are followed, which are counted when they end. 1.7 MB of kernel memory.
const MAX_UNFOLLOWED: u32 = 16_384;
/// Buckets fill unevenly: when as many streams are followed as there are places, one in five finds its bucket full.
const SPILL_DIVISOR: u32 = 4;

/// The sizes of the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// There are 2 to the power of this many buckets.
    pub(super) bucket_bits: u32,
    /// Streams in the hash.
    streams: u32,
    /// Slots for streams that are swept.
    slots: u32,
    accounts: u32,
    /// Accounts that are finer than a user's.
    actors: u32,
}

/// The rows of accounts that are finer than a user's: as many as users may have, and behind theirs.
pub(super) fn actor_rows(settings: &EbpfSettings) -> Range<u32> {
    let accounts = to_u32(settings.max_accounts);
    accounts + 1..2 * accounts + 1
}

impl Sizes {
    /// The sizes for `settings`. Without the atomic exchange no place in a bucket can be claimed, so that all streams go
    /// to the hash.
    pub(super) fn new(settings: &EbpfSettings, looks: Looks, actors: bool) -> Self {
        let accounts = to_u32(settings.max_accounts);
        let streams = to_u32(settings.max_connections).max(1);
        let actors = if actors { accounts } else { 0 };
        let one = Self { bucket_bits: 0, streams: 1, slots: 1, accounts, actors };
        match looks {
            Looks::Swept => return Self { slots: streams, ..one },
            Looks::HookedLocked => return Self { streams, ..one },
            Looks::Hooked => {}
        }
        let buckets = streams.div_ceil(to_u32(BUCKET_STREAMS)).next_power_of_two();
        Self { bucket_bits: buckets.ilog2(), streams: streams.div_ceil(SPILL_DIVISOR), ..one }
    }

    /// The number of entries of each map that has not a fixed one.
    pub(super) fn entries(&self) -> [(&'static str, u32); 13] {
        let epochs = if self.actors == 0 { 1 } else { 1 << EPOCH_BITS };
        [
            ("BUCKETS", 1 << self.bucket_bits),
            ("STREAMS", self.streams),
            ("SLOTS", self.slots),
            ("INDEX", self.slots),
            ("FREE_SLOTS", self.slots),
            ("UNFOLLOWED", MAX_UNFOLLOWED),
            ("ACCOUNTS", self.accounts),
            ("ROWS", self.accounts),
            // One more, for others.
            ("TALLIES", self.accounts + self.actors + 1),
            ("ACTORS", self.actors.max(1)),
            ("SEATS", if self.actors == 0 { 1 } else { self.accounts + self.actors + 1 }),
            ("FREE_ROWS", self.actors.max(1)),
            ("EPOCHS", epochs),
        ]
    }
}

/// A size that has been checked, as the kernel wants it.
fn to_u32(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(max_connections: usize, looks: Looks) -> Vec<(&'static str, u32)> {
        Sizes::new(&settings(max_connections), looks, false).entries().to_vec()
    }

    fn settings(max_connections: usize) -> EbpfSettings {
        EbpfSettings { max_connections, max_accounts: 9, ..EbpfSettings::default() }
    }

    #[test]
    fn accounts_of_processes_have_rows_of_their_own() {
        let all = Sizes::new(&settings(64), Looks::Hooked, true).entries();
        let of = |name| all.iter().find(|entry| entry.0 == name).unwrap().1;
        assert_eq!(actor_rows(&settings(64)), 10..19);
        assert_eq!((of("TALLIES"), of("SEATS"), of("FREE_ROWS"), of("ACTORS")), (19, 19, 9, 9));
    }

    fn of(max_connections: usize, looks: Looks, names: [&str; 4]) -> [u32; 4] {
        let entries = entries(max_connections, looks);
        names.map(|name| entries.iter().find(|entry| entry.0 == name).unwrap().1)
    }

    #[test]
    fn there_is_room_for_what_was_asked_and_a_row_for_others() {
        let streams = ["BUCKETS", "STREAMS", "SLOTS", "INDEX"];
        assert_eq!(of(64, Looks::Hooked, streams), [16, 16, 1, 1]);
        assert_eq!(of(1, Looks::Hooked, streams), [1, 1, 1, 1]);
        assert_eq!(of(64, Looks::HookedLocked, streams), [1, 64, 1, 1]);
        assert_eq!(of(64, Looks::Swept, streams), [1, 1, 64, 64]);
        let accounts = ["ACCOUNTS", "ROWS", "TALLIES", "UNFOLLOWED"];
        assert_eq!(of(64, Looks::Swept, accounts), [9, 9, 10, MAX_UNFOLLOWED]);
    }
}
