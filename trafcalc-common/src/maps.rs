//! Keys, values and indices of the maps that the eBPF program writes and the service reads.

/// What the eBPF program remembers of one connection. The key is the address of its socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stream {
    /// Position up to which sent bytes were credited.
    pub sent: u64,
    /// Position up to which received bytes were credited.
    pub received: u64,
    /// Whose bytes were credited last, and the row of the account: see [`owner`]. 0 before the first.
    pub owner: u64,
    /// The position sent is this and the kernel's total of bytes acknowledged, and what waits to be: see
    /// [`crate::Numbers::sent`].
    pub sent_base: u64,
    /// The position received is this and the kernel's total of bytes received, less what waits to be read.
    pub received_base: u64,
    /// With [`Stream::SENT_ENDED`]: number of the first byte that is not payload (the FIN's).
    pub sent_end: u32,
    /// With [`Stream::RECEIVED_ENDED`]: number of the peer's FIN.
    pub received_end: u32,
    /// The flags below.
    pub flags: u32,
    /// Upper half of the mark of the actor whose bytes were credited last. 0 where only users are told apart.
    pub mark_high: u32,
}

impl Stream {
    /// Where a cursor stands whose stream has ended, for a sweep that still looks at it.
    pub const NOWHERE: u64 = u64::MAX;

    /// Not to be counted: both ends are on this host.
    pub const IGNORED: u32 = 1;
    /// The application can write no more.
    pub const SENT_ENDED: u32 = 1 << 1;
    /// The peer's FIN has come.
    pub const RECEIVED_ENDED: u32 = 1 << 2;
    /// The connection is over; what was received may still be read.
    pub const CLOSED: u32 = 1 << 3;
    /// Older than the program, so its first bytes are unknown.
    pub const LATE: u32 = 1 << 4;
    /// Our SYN is among the bytes that the kernel counts as acknowledged.
    pub const SYN_ACKED: u32 = 1 << 5;
    /// Our FIN has a number.
    pub const OWN_FIN: u32 = 1 << 6;
}

/// Streams in one entry of the array of buckets.
///
/// Looking up an array costs no call, which on machines that must guard their returns is a third of an event.
pub const BUCKET_STREAMS: usize = 4;

/// The streams whose keys have the same [`bucket`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Bucket {
    /// The keys of the streams; 0 where there is none.
    pub keys: [u64; BUCKET_STREAMS],
    /// The streams.
    pub streams: [Stream; BUCKET_STREAMS],
}

/// A place for a stream where streams are swept: they lie one beside the other, so that a sweep reads nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Slot {
    /// The key of the stream; 0 where there is none.
    pub key: u64,
    /// The stream.
    pub stream: Stream,
}

/// Steps that a program takes in one run, by having the kernel call a function for each element of an array. The verifier
/// looks at such a function once, and at a loop as often as it goes round.
pub const STEPS_A_RUN: u32 = 1_024;

/// What a run that looks for connections older than the program gives when it is done, and when the kernel's table of
/// sockets cannot be read; anything else is the list to go on with.
pub mod adoption {
    /// All lists were looked at.
    pub const DONE: u32 = u32::MAX;
    /// There is no memory where the table should be.
    pub const FAILED: u32 = u32::MAX - 1;
}

/// The bucket of a key, where there are 2^`bits` of them.
///
/// Sockets lie at multiples of their size, so their addresses are spread by Fibonacci hashing (Knuth, The Art of
/// Computer Programming, section 6.4): multiplied by 2^64 divided by the golden ratio, of which the top bits are taken.
#[must_use]
#[inline]
pub const fn bucket(key: u64, bits: u32) -> u32 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let top = (key.wrapping_mul(GOLDEN) >> 32) as u32;
    // Two shifts, as `bits` may be 0 and a shift by 32 is none.
    top >> 1 >> (31 - bits)
}

/// A user (or the lower half of an actor's mark) and the row of the account, as one word, so that no CPU sees one
/// without the other.
#[must_use]
#[inline]
pub const fn owner(who: u32, row: u32) -> u64 {
    (who as u64) << 32 | row as u64
}

/// The row of the account for others: there is always one.
pub const OTHER_ROW: u32 = 0;

/// The bytes of one account on one CPU, since the program was loaded.
///
/// A single CPU's share may be "negative" (a huge number): only the wrapping sum over all CPUs is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tally {
    /// Bytes handed to TCP by applications.
    pub sent: u64,
    /// Bytes read by applications.
    pub received: u64,
}

/// Indices of the per-CPU array of rare events.
pub mod event {
    /// Connections that were older than the program.
    pub const LATE: u32 = 0;
    /// Connections for which there was no room among the streams: counted when they end.
    pub const UNFOLLOWED: u32 = 1;
    /// Connections for which there was no room at all: not counted.
    pub const LOST: u32 = 2;
    /// Accounts that were opened.
    pub const ACCOUNTS: u32 = 3;
    /// Accounts that were opened and are finer than a user's.
    pub const ACTORS: u32 = 4;
    /// Connections that were audited at their end.
    pub const AUDITED: u32 = 5;
    /// Those of which we and the kernel say different things.
    pub const MISMATCHED: u32 = 6;
    /// Number of indices.
    pub const COUNT: u32 = 7;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A thousand sockets side by side, 2,304 bytes each: no bucket of 256 gets more than twice its share.
    #[test]
    fn neighbouring_sockets_are_spread_over_the_buckets() {
        let mut filled = BTreeMap::<u32, usize>::new();
        for socket in 0..1_024_u64 {
            *filled.entry(bucket(0xffff_8881_0000_0000 + socket * 2_304, 8)).or_default() += 1;
        }
        assert!(filled.keys().all(|&bucket| bucket < 256));
        assert!(filled.values().all(|&streams| streams <= 2 * BUCKET_STREAMS), "{filled:?}");
    }

    #[test]
    fn a_single_bucket_takes_all() {
        assert!((0..100).all(|key| bucket(key << 58, 0) == 0));
    }
}
