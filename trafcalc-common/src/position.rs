//! A cursor that does not wrap: a sequence number together with the number of times it went round.
//!
//! The eBPF program keeps its cursors like this. A hook that only sees the sequence number moves a position to the
//! nearest one with that number; a hook that may also read the kernel's own 64-bit totals of the socket gets the
//! position itself, and so makes good what was missed in between, even if that was more than 2 GiB.

use crate::cursor::distance;

/// The position closest to `near` whose low 32 bits are the sequence number `seq`.
///
/// Right while the true distance is less than 2^31 either way.
#[must_use]
#[inline]
pub const fn nearest(near: u64, seq: u32) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are the sequence number")]
    let number = near as u32;
    near.wrapping_add_signed(distance(number, seq) as i64)
}

/// The totals and sequence numbers that a `tcp_sock` holds, read while its lock is held or as good as still.
///
/// `bytes_acked` grows with `snd_una` and `bytes_received` with `rcv_nxt` (`net/ipv4/tcp_input.c`,
/// `tcp_snd_una_update` and `tcp_rcv_nxt_update`, Linux 4.1 and later), so the number before the first one they
/// counted can be had at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Number of the next byte the application will write.
    pub write_seq: u32,
    /// Number of the oldest byte not acknowledged.
    pub snd_una: u32,
    /// How far `snd_una` moved since the socket was made; on the side that sent the first SYN that SYN included.
    pub bytes_acked: u64,
    /// Number of the next byte the application will read.
    pub copied_seq: u32,
    /// Number of the next byte expected from the peer.
    pub rcv_nxt: u32,
    /// How far `rcv_nxt` moved since the SYN, the FIN included.
    pub bytes_received: u64,
}

impl Numbers {
    /// The position of the first payload byte sent, where `syn` is 1 if `bytes_acked` includes a SYN and else 0.
    #[must_use]
    #[inline]
    pub const fn sent_origin(&self, syn: u32) -> u64 {
        origin(self.snd_una, self.bytes_acked) + syn as u64
    }

    /// The position of the first payload byte received.
    #[must_use]
    #[inline]
    pub const fn received_origin(&self) -> u64 {
        origin(self.rcv_nxt, self.bytes_received)
    }

    /// The position of the next byte the application will write.
    #[must_use]
    #[inline]
    pub const fn sent(&self) -> u64 {
        position(self.sent_origin(0), self.bytes_acked, self.write_seq)
    }

    /// The position of the next byte the application will read.
    #[must_use]
    #[inline]
    pub const fn received(&self) -> u64 {
        position(self.received_origin(), self.bytes_received, self.copied_seq)
    }
}

/// The position with sequence number `seq`, of a stream whose kernel counts `total` from `base` on.
///
/// Right while less than 2 GiB wait to be acknowledged, or to be read, however much has moved since the last look. The
/// base need not be exact as long as it stays the same.
#[must_use]
#[inline]
pub const fn position(base: u64, total: u64, seq: u32) -> u64 {
    nearest(base.wrapping_add(total), seq)
}

/// The position where a number stood that is at `now` and moved by `moved` since.
#[inline]
const fn origin(now: u32, moved: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "numbers are counted modulo 2^32")]
    let number = now.wrapping_sub(moved as u32);
    number as u64
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

        /// Whatever was missed, the kernel's totals give the payload bytes since the SYN: written ones count although
        /// they are not acknowledged, and received ones only once they are read.
        #[test]
        fn totals_are_exact_whatever_was_missed(
            iss: u32, irs: u32, syn in 0u32..2, acked in 0u64..1 << 50, queued in 0u64..1 << 30,
            read in 0u64..1 << 50, unread in 0u64..1 << 30,
        ) {
            let first = iss.wrapping_add(1);
            let numbers = Numbers {
                snd_una: first.wrapping_add(acked as u32),
                write_seq: first.wrapping_add((acked + queued) as u32),
                bytes_acked: acked + u64::from(syn),
                rcv_nxt: irs.wrapping_add(1).wrapping_add((read + unread) as u32),
                copied_seq: irs.wrapping_add(1).wrapping_add(read as u32),
                bytes_received: read + unread,
            };
            prop_assert_eq!(numbers.sent() - numbers.sent_origin(syn), acked + queued);
            prop_assert_eq!(numbers.received() - numbers.received_origin(), read);
            prop_assert_eq!(numbers.sent() as u32, numbers.write_seq);
            prop_assert_eq!(numbers.received() as u32, numbers.copied_seq);
        }

        /// A base that was read while another CPU moved the numbers is as good as the true one: what moves between two looks
        /// is exact, and it may be more than 2 GiB.
        #[test]
        fn a_base_is_good_if_it_stays_the_same(
            base in 0u64..1 << 33, torn in 0u64..1 << 30, acked in 0u64..1 << 50, queued in 0u64..1 << 30, more in 0u64..1 << 40,
        ) {
            let seq = |acked: u64| (base + acked + queued) as u32;
            let torn = base.wrapping_sub(torn);
            let (first, then) = (position(torn, acked, seq(acked)), position(torn, acked + more, seq(acked + more)));
            prop_assert_eq!(then - first, more);
        }

        /// Totals read while another CPU moves `snd_una` still give a position with the right sequence number.
        #[test]
        fn a_torn_read_is_healed_by_the_sequence_number(
            snd_una: u32, acked in 1u64 << 31..1 << 50, torn in 0u64..1 << 30, queued in 0u32..1 << 30,
        ) {
            let still = Numbers { snd_una, bytes_acked: acked, write_seq: snd_una.wrapping_add(queued), ..Numbers::default() };
            let torn = Numbers { bytes_acked: acked + torn, ..still };
            prop_assert_eq!(torn.sent() as u32, still.write_seq);
        }
    }
}
