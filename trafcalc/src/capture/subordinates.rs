//! Subordinate uids, whose bytes belong to another user. Plain data, and a look-up in it.

/// A range of uids whose bytes belong to another user, as the uids of that user's containers: `count` uids from `first` on are credited
/// to `owner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubordinateRange {
    /// The first uid.
    pub first: u32,
    /// How many uids, at least 1. The last one is below `u32::MAX`, which is not a user.
    pub count: u32,
    /// The user to whom their bytes belong.
    pub owner: u32,
}

impl SubordinateRange {
    const fn contains(&self, uid: u32) -> bool {
        uid >= self.first && uid - self.first < self.count
    }
}

/// The user to whom bytes of `uid` belong: the owner of the range that contains it, or else `uid` itself. The `ranges` are sorted and
/// do not overlap.
#[must_use]
pub fn owner_of(ranges: &[SubordinateRange], uid: u32) -> u32 {
    let up_to = ranges.partition_point(|range| range.first <= uid);
    ranges[..up_to].last().filter(|range| range.contains(uid)).map_or(uid, |range| range.owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_belongs_to_the_owner_of_its_range_or_to_itself() {
        let range = |first, count, owner| SubordinateRange { first, count, owner };
        let ranges = [range(100_000, 65_536, 1000), range(165_536, 10, 1001), range(4_294_967_290, 5, 0)];
        for (uid, owner) in [
            (0, 0),
            (1000, 1000),
            (99_999, 99_999),
            (100_000, 1000),
            (165_535, 1000),
            (165_536, 1001),
            (165_545, 1001),
            (165_546, 165_546),
            (4_294_967_294, 0),
            (u32::MAX, u32::MAX),
        ] {
            assert_eq!(owner_of(&ranges, uid), owner, "{uid}");
        }
        assert_eq!(owner_of(&[], 100_000), 100_000);
    }
}
