//! Keys, values and indices of the maps that the eBPF program writes and the service reads.

/// What the eBPF program remembers of one connection. The key is the address of its socket.
///
/// A stream is written under the lock of its socket. A look in between, which has no lock, moves `sent` and `received` by
/// compare-and-exchange only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stream {
    /// Position up to which sent bytes were credited, or [`Stream::NOWHERE`].
    pub sent: u64,
    /// Position up to which received bytes were credited, or [`Stream::NOWHERE`].
    pub received: u64,
    /// See [`crate::connection::sent_base`].
    pub sent_base: u32,
    /// See [`crate::connection::received_base`].
    pub received_base: u32,
    /// The flags below.
    pub flags: u32,
    /// Where it matters who acts: number of the byte behind the last one that the last writer wrote.
    pub written: u32,
}

/// A stream and, where it matters who acts, what is known of those who do. It begins with the stream, so that what has a
/// pointer to one has a pointer to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Place {
    /// The stream.
    pub stream: Stream,
    /// Number of the byte behind the last one that had arrived when the last actor read.
    pub read: u32,
    /// What a look has waited for, until the next one, already: 1 for somebody to act, [`waits_for_writer`] for somebody to have written.
    pub waited: u32,
    /// The lower half of the last actor's mark, and the row of the account. See [`owner`].
    pub owner: u64,
    /// The number of the byte behind the last one of who wrote before the last writer, and the row of the account. See [`owner`].
    pub former: u64,
    /// The upper half of the last actor's mark, and the row of who wrote last. See [`owner`].
    pub writer: u64,
}

/// What a look puts down that waits for whoever sends the bytes behind number `written`. Never 0.
#[must_use]
#[inline]
pub const fn waits_for_writer(written: u32) -> u32 {
    written | 1
}

/// Number of words in [`Stream`].
pub const STREAM_WORDS: usize = size_of::<Stream>() / size_of::<u64>();
/// Number of words in [`Place`].
pub const PLACE_WORDS: usize = size_of::<Place>() / size_of::<u64>();

impl Stream {
    /// The stream as it lies in a map.
    #[must_use]
    pub const fn from_words(words: &[u64; STREAM_WORDS]) -> Self {
        let (sent_base, received_base) = halves(words[2]);
        let (flags, written) = halves(words[3]);
        Self { sent: words[0], received: words[1], sent_base, received_base, flags, written }
    }

    /// As it lies in a map.
    #[must_use]
    pub const fn words(&self) -> [u64; STREAM_WORDS] {
        let (bases, flags) = (whole(self.sent_base, self.received_base), whole(self.flags, self.written));
        [self.sent, self.received, bases, flags]
    }

    /// Whether its connection is under way: one that has not begun, or has ended, stands nowhere.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.sent != Self::NOWHERE && self.received != Self::NOWHERE && self.flags & Self::OPENING == 0
    }

    /// Where a cursor stands that a look must not move: its connection has not begun, or has ended.
    pub const NOWHERE: u64 = u64::MAX;

    /// This host has sent the first SYN, and the handshake is not over.
    pub const OPENING: u32 = 1;
    /// Our SYN is among the bytes that the kernel counts as acknowledged.
    pub const SYN_ACKED: u32 = 1 << 1;
    /// Older than the program: followed from the middle.
    pub const LATE: u32 = 1 << 2;
}

/// The two fields of 4 bytes that a word of a map holds.
#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
const fn halves(word: u64) -> (u32, u32) {
    let (lower, upper) = (word as u32, (word >> 32) as u32);
    if cfg!(target_endian = "little") { (lower, upper) } else { (upper, lower) }
}

const fn whole(first: u32, second: u32) -> u64 {
    let (lower, upper) = if cfg!(target_endian = "little") { (first, second) } else { (second, first) };
    lower as u64 | (upper as u64) << 32
}

/// Streams in one entry of the array of buckets.
///
/// Looking up an array costs no call, which on machines that must guard their returns is a third of an event.
pub const BUCKET_STREAMS: usize = 4;

/// The streams whose keys have the same [`bucket`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Bucket {
    /// The keys of the streams; 0 where there is none. The cursors of the first stream, and most buckets have no other, lie in
    /// the same cache line.
    pub keys: [u64; BUCKET_STREAMS],
    /// The streams.
    pub streams: [Place; BUCKET_STREAMS],
}

/// What stands in the object for the number of streams that the hash takes.
pub const SPILL_PLACE: u32 = 0x5050_1c5d;

/// Buckets that one word of the bitmap of occupied buckets is about.
pub const BUCKETS_A_WORD: u32 = u64::BITS;

/// Steps that a program takes in one run, by having the kernel call a function for each element of an array. The verifier
/// looks at such a function once, and at a loop as often as it goes round.
pub const STEPS_A_RUN: u32 = 1_024;

/// Indices of the array of words that describe the table of streams.
pub mod table {
    /// Streams for which their bucket had no room, and which the hash has.
    pub const SPILLED: u32 = 0;
    /// Not 0 once there was no room for a connection at all.
    pub const OVERFLOWED: u32 = 1;
    /// Rows of accounts that were ever used, but that for others.
    pub const ROWS: u32 = 2;
    /// Not 0 while connections older than the program are looked for.
    pub const ADOPTING: u32 = 3;
    /// Number of indices.
    pub const COUNT: u32 = 4;
}

/// What a run is told that looks for connections older than the program, and what it gives when it is done, or when the kernel's table
/// of sockets cannot be read; anything else is the list to go on with.
pub mod adoption {
    /// Look at lists.
    pub const WALK: u32 = 0;
    /// From now on whoever sees an end notes it.
    pub const BEGIN: u32 = 1;
    /// No more.
    pub const END: u32 = 2;
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

/// A user (or the lower half of an actor's mark, or the number of a byte) and the row of the account, as one word, so that no
/// CPU sees one without the other.
#[must_use]
#[inline]
pub const fn owner(who: u32, row: u32) -> u64 {
    (who as u64) << 32 | row as u64
}

/// Bytes of the name of a class; a shorter one has zeroes behind it.
pub const CLASS_NAME_BYTES: usize = 32;
/// Classes that can be told apart: numbers of one byte, 0 of what is in none.
pub const MAX_CLASSES: usize = 255;

/// The key of a user's account in a class.
#[must_use]
#[inline]
pub const fn account(uid: u32, class: u32) -> u64 {
    (class as u64) << 32 | uid as u64
}

/// The row of the account for others: there is always one.
pub const OTHER_ROW: u32 = 0;

/// The bytes of one account on one CPU, since the program was loaded.
///
/// A single CPU's share may be "negative" (a huge number): only the wrapping sum over all CPUs is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tally {
    /// Payload that was transmitted for the first time.
    pub sent: u64,
    /// Payload that arrived in order.
    pub received: u64,
}

/// What the service noted of a row. It writes this through a mapping of the map's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Reported {
    /// Sent bytes of the row that are in a report.
    pub sent: u64,
    /// Received bytes of the row that are in a report.
    pub received: u64,
    /// 0, or, while the row has been taken from its user and is not yet free, the key of the user's account and the highest bit.
    pub left_by: u64,
    /// For later.
    pub spare: u64,
}

/// What a run that takes over streams gives where another generation acts.
pub const NOT_ACTING: u32 = u32::MAX;

/// Most connections that can end without a stream while streams are taken over, which takes some milliseconds.
pub const MAX_ENDED: u32 = 16_384;

/// Indices of the per-CPU array of rare events.
pub mod event {
    /// Connections that were older than the program.
    pub const LATE: u32 = 0;
    /// Connections for which there was no room: counted when they end.
    pub const UNFOLLOWED: u32 = 1;
    /// Accounts that were opened.
    pub const ACCOUNTS: u32 = 2;
    /// Accounts that were opened and are finer than a user's.
    pub const ACTORS: u32 = 3;
    /// Connections that were audited at their end.
    pub const AUDITED: u32 = 4;
    /// Those whose stream was not what the kernel says.
    pub const MISMATCHED: u32 = 5;
    /// Connections that a new generation of programs took over and had no room for: what they moved since is not counted.
    pub const LOST: u32 = 6;
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
    fn the_words_of_a_stream_are_its_fields() {
        let stream =
            Stream { sent: 1 << 40, received: 9, sent_base: 3, received_base: u32::MAX, flags: 6, ..Stream::default() };
        assert_eq!(Stream::from_words(&stream.words()), stream);
        // As the programs of the kernel see them.
        assert_eq!(core::mem::offset_of!(Stream, sent_base), 16);
        assert_eq!(core::mem::offset_of!(Stream, flags), 24);
        assert_eq!((size_of::<Stream>(), size_of::<Place>()), (32, 64));
    }

    #[test]
    fn a_single_bucket_takes_all() {
        assert!((0..100).all(|key| bucket(key << 58, 0) == 0));
    }
}
