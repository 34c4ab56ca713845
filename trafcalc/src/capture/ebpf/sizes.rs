//! The sizes of the maps. The kernel allocates all of them at the start, except the hash of streams where that can grow.

use std::ops::Range;

use trafcalc_common::actor::EPOCH_BITS;
use trafcalc_common::maps::{BUCKET_STREAMS, BUCKETS_A_WORD};

use crate::capture::EbpfSettings;

/// The hash has room for this fraction of the connections. All others have a place in the array, whose look-up costs no call. The hash
/// is for full buckets: as soon as it has one stream, a sweep walks all of its chains, 25 ns each, so it is small beside the array.
const SPILL_DIVISOR: u32 = 5;

/// The sizes of the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The number of buckets is 2 to the power of this.
    pub(super) bucket_bits: u32,
    /// Streams in the hash.
    spill: u32,
    /// Accounts of users.
    pub(super) accounts: u32,
    /// Accounts that are finer than a user's.
    actors: u32,
}

/// The rows of accounts that are finer than a user's: as many as users have, and after theirs.
pub(super) fn actor_rows(settings: &EbpfSettings) -> Range<u32> {
    let accounts = to_u32(settings.max_accounts);
    accounts + 1..2 * accounts + 1
}

/// Words of the bitmap of buckets.
pub(super) fn words(settings: &EbpfSettings) -> u32 {
    buckets(settings).div_ceil(BUCKETS_A_WORD)
}

fn buckets(settings: &EbpfSettings) -> u32 {
    let connections = to_u32(settings.max_connections);
    let places = connections - connections / SPILL_DIVISOR;
    places.div_ceil(to_u32(BUCKET_STREAMS)).next_power_of_two()
}

impl Sizes {
    /// The sizes for `settings`; with `actors` also those of accounts that are finer than a user's.
    pub(super) fn new(settings: &EbpfSettings, actors: bool) -> Self {
        let (connections, accounts) = (to_u32(settings.max_connections), to_u32(settings.max_accounts));
        let spill = connections.div_ceil(SPILL_DIVISOR);
        let actors = if actors { accounts } else { 0 };
        Self { bucket_bits: buckets(settings).ilog2(), spill, accounts, actors }
    }

    /// One row for each account, and one for the account for others.
    pub(super) const fn rows(&self) -> u32 {
        self.accounts + self.actors + 1
    }

    /// The number of entries of each map whose size is not fixed.
    pub(super) fn entries(&self) -> [(&'static str, u32); 10] {
        let is_told_apart = self.actors > 0;
        let of_actors = |entries| if is_told_apart { entries } else { 1 };
        let rows = self.rows();
        [
            ("BUCKETS", 1 << self.bucket_bits),
            ("OCCUPIED", (1_u32 << self.bucket_bits).div_ceil(BUCKETS_A_WORD)),
            ("SPILL", self.spill),
            ("ACCOUNTS", self.accounts),
            ("FREE_ROWS", self.accounts),
            ("TALLIES", rows),
            ("ACTORS", self.actors.max(1)),
            ("SEATS", of_actors(rows)),
            ("FREE_ACTORS", self.actors.max(1)),
            ("EPOCHS", of_actors(1 << EPOCH_BITS)),
        ]
    }
}

/// Converts a size, which has been checked, to the kernel's type.
fn to_u32(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(max_connections: usize) -> EbpfSettings {
        EbpfSettings { max_connections, max_accounts: 9, ..EbpfSettings::default() }
    }

    fn of<const N: usize>(sizes: Sizes, names: [&str; N]) -> [u32; N] {
        names.map(|name| sizes.entries().iter().find(|entry| entry.0 == name).unwrap().1)
    }

    #[test]
    fn accounts_of_processes_have_rows_of_their_own() {
        let all = Sizes::new(&settings(64), true);
        assert_eq!(actor_rows(&settings(64)), 10..19);
        assert_eq!(of(all, ["TALLIES", "SEATS", "FREE_ACTORS", "ACTORS"]), [19, 19, 9, 9]);
    }

    #[test]
    fn there_is_room_for_what_was_asked_and_a_row_for_others() {
        let streams = ["BUCKETS", "OCCUPIED", "SPILL"];
        assert_eq!(of(Sizes::new(&settings(64), false), streams), [16, 1, 13]);
        assert_eq!(of(Sizes::new(&settings(1), false), streams), [1, 1, 1]);
        assert_eq!(of(Sizes::new(&settings(327_680), false), streams), [65_536, 1_024, 65_536]);
        assert_eq!(words(&settings(327_680)), 1_024);
        assert_eq!(of(Sizes::new(&settings(64), false), ["ACCOUNTS", "TALLIES"]), [9, 10]);
    }
}
