//! The holders of ranges of subordinate uids, in a map that the programs search by prefix.

use std::collections::HashMap;
use std::io;

use aya::maps::MapData;
use aya::maps::lpm_trie::{Key, LpmTrie};

use super::programs::{Programs, system};
use super::tables::{take, unreadable};
use crate::capture::{CaptureError, SubordinateRange};

/// The first uid that systems allocate as a subordinate one (`SUB_UID_MIN` of login.defs(5)): later ranges begin there.
const FIRST_LATER: u32 = 100_000;
/// The least number of entries. A range takes some 20 prefixes at most, and memory only when it is added.
const LEAST_ENTRIES: usize = 16_384;

/// No uid below the first one is subordinate.
pub(super) fn first(ranges: &[SubordinateRange]) -> u32 {
    ranges.iter().map(|range| range.first).min().unwrap_or(u32::MAX).min(FIRST_LATER)
}

/// The size of the map, with room for later ranges.
pub(super) fn entries(ranges: &[SubordinateRange]) -> u32 {
    let room = (2 * prefixes(ranges).count()).next_power_of_two().max(LEAST_ENTRIES);
    u32::try_from(room).unwrap_or(u32::MAX)
}

/// The map of prefixes.
pub(super) struct Subordinates {
    map: LpmTrie<MapData, u32, u32>,
    first: u32,
    /// Entries of the map.
    room: usize,
}

impl Subordinates {
    /// Fills the map.
    pub(super) fn of(programs: &mut Programs, ranges: &[SubordinateRange]) -> Result<Self, CaptureError> {
        let mut subordinates =
            Self { map: take(programs, "SUBORDINATES")?, first: first(ranges), room: entries(ranges) as usize };
        subordinates.set(ranges)?;
        Ok(subordinates)
    }

    /// Replaces the ranges by these.
    pub(super) fn set(&mut self, ranges: &[SubordinateRange]) -> Result<(), CaptureError> {
        let unheeded = ranges.iter().filter(|range| range.first < self.first).count();
        if unheeded > 0 {
            tracing::warn!(
                "{unheeded} ranges of subordinate users begin below {}: they take effect after a restart",
                self.first
            );
        }
        let wanted: HashMap<_, _> =
            prefixes(ranges).map(|(first, bits, holder)| ((bits, first.to_be()), holder)).collect();
        // The fields are copied, because the key is packed.
        let known = self.map.keys().map(|key| key.map(|key| (key.prefix_len(), key.data())));
        let known: Vec<_> = known.collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
        // Changes nothing if there is not enough room.
        if wanted.len() + known.iter().filter(|key| !wanted.contains_key(key)).count() > self.room {
            let what = "updating the subordinate users of the eBPF program, which a restart would do,";
            return Err(system(what, &io::Error::from(io::ErrorKind::StorageFull)));
        }
        // Additions come first, so that no uid is without its owner meanwhile.
        let added =
            wanted.iter().try_for_each(|(&(bits, first), holder)| self.map.insert(&Key::new(bits, first), holder, 0));
        added.map_err(|error| unreadable(&error))?;
        let stale = known.iter().filter(|key| !wanted.contains_key(key));
        let removed = stale.into_iter().try_for_each(|&(bits, first)| self.map.remove(&Key::new(bits, first)));
        removed.map_err(|error| unreadable(&error))
    }
}

/// The first uid, the prefix length in bits and the holder of each prefix.
fn prefixes(ranges: &[SubordinateRange]) -> impl Iterator<Item = (u32, u32, u32)> {
    ranges.iter().flat_map(|range| {
        let end = u64::from(range.first) + u64::from(range.count);
        let mut next = u64::from(range.first);
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            // As large as its alignment and the end of the range allow.
            let aligned = if next == 0 { 32 } else { next.trailing_zeros().min(32) };
            let fitting = (end - next).ilog2();
            let (first, size) = (next, aligned.min(fitting));
            next += 1 << size;
            Some((u32::try_from(first).ok()?, 32 - size, range.owner))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(first: u32, count: u32) -> Vec<(u32, u32, u32)> {
        prefixes(&[SubordinateRange { first, count, owner: 7 }]).collect()
    }

    #[test]
    fn a_range_is_covered_by_prefixes_without_gap_or_overlap() {
        assert_eq!(of(0x10000, 0x10000), [(0x10000, 16, 7)]);
        assert_eq!(of(0xffff_ffff, 1), [(0xffff_ffff, 32, 7)]);
        assert!(of(5, 0).is_empty());
        for (first, count) in [(100_000, 65_536), (1, 7), (0, u32::MAX), (231_072, 1), (4_294_900_000, 67_295)] {
            let mut next = u64::from(first);
            for (prefix, bits, _) in of(first, count) {
                assert_eq!(u64::from(prefix), next, "{first}+{count}");
                let size = 1_u64 << (32 - bits);
                assert_eq!(next % size, 0);
                next += size;
            }
            assert_eq!(next, u64::from(first) + u64::from(count));
        }
    }

    #[test]
    fn there_is_room_for_ranges_that_come_later() {
        assert_eq!((first(&[]), entries(&[])), (100_000, 16_384));
        let low = SubordinateRange { first: 7, count: u32::MAX - 7, owner: 1 };
        assert_eq!(first(&[low]), 7);
    }
}
