//! The users who have ranges of subordinate uids, as the program looks them up: by the prefixes of the numbers.

use aya::maps::lpm_trie::{Key, LpmTrie};

use super::programs::Programs;
use super::tables::{take, unreadable};
use crate::capture::{CaptureError, SubordinateRange};

/// No uid below the first one is subordinate.
pub(super) fn first(ranges: &[SubordinateRange]) -> u32 {
    ranges.iter().map(|range| range.first).min().unwrap_or(u32::MAX)
}

/// The size of the map.
pub(super) fn entries(ranges: &[SubordinateRange]) -> u32 {
    u32::try_from(prefixes(ranges).count()).unwrap_or(u32::MAX).max(1)
}

/// Tells the program whose they are.
pub(super) fn fill(programs: &mut Programs, ranges: &[SubordinateRange]) -> Result<(), CaptureError> {
    let mut map: LpmTrie<_, u32, u32> = take(programs, "SUBORDINATES")?;
    let mut prefixes = prefixes(ranges);
    prefixes
        .try_for_each(|(first, bits, holder)| map.insert(&Key::new(bits, first.to_be()), holder, 0))
        .map_err(|error| unreadable(&error))
}

/// First number, length in bits and holder of each.
fn prefixes(ranges: &[SubordinateRange]) -> impl Iterator<Item = (u32, u32, u32)> {
    ranges.iter().flat_map(|range| {
        let end = u64::from(range.first) + u64::from(range.count);
        let mut next = u64::from(range.first);
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            // As large as its own alignment and the end of the range allow.
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
    fn nobody_is_subordinate_where_there_is_no_range() {
        assert_eq!((first(&[]), entries(&[])), (u32::MAX, 1));
    }
}
