//! A cursor that does not wrap: a sequence number together with the number of times it has wrapped.
//!
//! The eBPF programs store cursors like this. The kernel's 64-bit totals of a socket say near which position a sequence number lies, so
//! missed movements are made up for, even of more than 2 GiB.

use crate::cursor::distance;

/// The position closest to `near` whose low 32 bits are the sequence number `seq`.
///
/// Correct while the true distance is less than 2^31 either way.
#[must_use]
#[inline]
pub const fn nearest(near: u64, seq: u32) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are the sequence number")]
    let number = near as u32;
    near.wrapping_add_signed(distance(number, seq) as i64)
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "numbers are counted modulo 2^32")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Any movement of less than 2 GiB is found from the sequence number alone, forth and back, across wraps.
        #[test]
        fn nearest_finds_the_position(near in 0u64..1 << 60, moved in -(1i64 << 31) + 1..1i64 << 31) {
            let truth = near.saturating_add_signed(moved);
            prop_assert_eq!(nearest(near, truth as u32), truth);
        }
    }
}
