//! How large the maps are. The kernel allocates all of it at the start.

use trafcalc_common::maps::BUCKET_STREAMS;

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
    spill: u32,
    accounts: u32,
}

impl Sizes {
    /// The sizes for `settings`. Without the atomic exchange no place in a bucket can be claimed, so that all streams go
    /// to the hash.
    pub(super) fn new(settings: &EbpfSettings, exchange: bool) -> Self {
        let accounts = to_u32(settings.max_accounts);
        let streams = to_u32(settings.max_connections).max(1);
        if !exchange {
            return Self { bucket_bits: 0, spill: streams, accounts };
        }
        let buckets = streams.div_ceil(to_u32(BUCKET_STREAMS)).next_power_of_two();
        Self { bucket_bits: buckets.ilog2(), spill: streams.div_ceil(SPILL_DIVISOR), accounts }
    }

    /// The number of entries of each map that has not a fixed one.
    pub(super) fn entries(&self) -> [(&'static str, u32); 6] {
        [
            ("BUCKETS", 1 << self.bucket_bits),
            ("SPILL", self.spill),
            ("UNFOLLOWED", MAX_UNFOLLOWED),
            ("ACCOUNTS", self.accounts),
            ("ROWS", self.accounts),
            // One more, for others.
            ("TALLIES", self.accounts.saturating_add(1)),
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

    fn entries(max_connections: usize, exchange: bool) -> Vec<(&'static str, u32)> {
        Sizes::new(&EbpfSettings { max_connections, max_accounts: 9 }, exchange).entries().to_vec()
    }

    #[test]
    fn there_is_room_for_what_was_asked_and_a_row_for_others() {
        let expected = [("BUCKETS", 16), ("SPILL", 16), ("UNFOLLOWED", MAX_UNFOLLOWED)];
        assert_eq!(entries(64, true)[..3], expected);
        assert_eq!(entries(64, true)[3..], [("ACCOUNTS", 9), ("ROWS", 9), ("TALLIES", 10)]);
        assert_eq!(entries(1, true)[..2], [("BUCKETS", 1), ("SPILL", 1)]);
    }

    #[test]
    fn without_the_exchange_all_streams_find_room_in_the_hash() {
        assert_eq!(entries(64, false)[..2], [("BUCKETS", 1), ("SPILL", 64)]);
    }
}
