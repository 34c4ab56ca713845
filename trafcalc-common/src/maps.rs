//! Keys, values and indices of the maps that the eBPF programs write and the service reads.

/// What the eBPF programs store for one connection. The key is the address of its socket.
///
/// A stream is written under the lock of its socket. A look without that lock moves `sent` and `received` by compare-and-exchange only.
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
    /// With the method `events`: the number of the byte after the last one that the last writer wrote.
    pub written: u32,
}

/// A stream and, with the method `events`, what is known of its actors. It begins with the stream, so a pointer to one is a pointer to
/// the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Place {
    /// The stream.
    pub stream: Stream,
    /// Number of the byte after the last one that had arrived when the last actor read.
    pub read: u32,
    /// What an earlier look has already waited for: 1 for a first actor, [`waits_for_writer`] for a writer. 0 if for nothing.
    pub waited: u32,
    /// The lower half of the last actor's mark, and the row of the account. See [`owner`].
    pub owner: u64,
    /// The number of the byte after the last one that the former writer wrote, and the row of its account. See [`owner`].
    pub former: u64,
    /// The upper half of the last actor's mark, and the row of the last writer. See [`owner`].
    pub writer: u64,
}

/// What a look stores in [`Place::waited`] when it waits for the writer of the bytes from number `written` on. Never 0.
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
    /// The stream from the words of a map.
    #[must_use]
    pub const fn from_words(words: &[u64; STREAM_WORDS]) -> Self {
        let (sent_base, received_base) = halves(words[2]);
        let (flags, written) = halves(words[3]);
        Self { sent: words[0], received: words[1], sent_base, received_base, flags, written }
    }

    /// The words of a map.
    #[must_use]
    pub const fn words(&self) -> [u64; STREAM_WORDS] {
        let (bases, flags) = (whole(self.sent_base, self.received_base), whole(self.flags, self.written));
        [self.sent, self.received, bases, flags]
    }

    /// Whether its connection is open: before the beginning and after the end its cursors are [`Stream::NOWHERE`].
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.sent != Self::NOWHERE && self.received != Self::NOWHERE && self.flags & Self::OPENING == 0
    }

    /// A cursor that a look must not move: its connection has not begun, or has ended.
    pub const NOWHERE: u64 = u64::MAX;

    /// This host has sent the first SYN, and the handshake is not over.
    pub const OPENING: u32 = 1;
    /// Our SYN is among the bytes that the kernel counts as acknowledged.
    pub const SYN_ACKED: u32 = 1 << 1;
    /// The connection is older than the programs, and was adopted.
    pub const LATE: u32 = 1 << 2;
}

/// The two 4-byte fields in a word of a map.
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
/// A look-up in an array costs no call, which on machines that must protect returns is a third of an event.
pub const BUCKET_STREAMS: usize = 4;

/// The streams whose keys have the same [`bucket`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Bucket {
    /// The keys of the streams; 0 for a free place. The cursors of the first stream, usually the only one, are in the same cache line.
    pub keys: [u64; BUCKET_STREAMS],
    /// The streams.
    pub streams: [Place; BUCKET_STREAMS],
}

/// The number of entries of the hash in the object, by which the loader finds it.
pub const SPILL_PLACE: u32 = 0x5050_1c5d;

/// Buckets per word of the bitmap of occupied buckets.
pub const BUCKETS_A_WORD: u32 = u64::BITS;

/// Steps that a program takes in one run, by having the kernel call a function for each element of an array. The verifier checks such a
/// function once, and a loop once per iteration.
pub const STEPS_A_RUN: u32 = 1_024;

/// Indices of the array of words that describe the table of streams.
pub mod table {
    /// The number of streams in the hash, because their bucket was full.
    pub const SPILLED: u32 = 0;
    /// Not 0 once there was no room for a connection.
    pub const OVERFLOWED: u32 = 1;
    /// The number of rows that were ever used, without that of the account for others.
    pub const ROWS: u32 = 2;
    /// Not 0 while connections older than the programs are adopted.
    pub const ADOPTING: u32 = 3;
    /// Exchanged only to order what is before and after that.
    pub const ORDER: u32 = 4;
    /// Number of indices.
    pub const COUNT: u32 = 5;
}

/// Arguments and return values of the program that adopts connections older than the programs. Any other return value is the chain of
/// the kernel's table of sockets to continue with.
pub mod adoption {
    /// Argument: walk the table.
    pub const WALK: u32 = 0;
    /// Argument: from now on, programs note the ends that they see.
    pub const BEGIN: u32 = 1;
    /// Argument: stop noting ends.
    pub const END: u32 = 2;
    /// Argument: return 1 if adopting was begun and not ended, else 0.
    pub const ASK: u32 = 3;
    /// Return value: the whole table was walked.
    pub const DONE: u32 = u32::MAX;
    /// Return value: the table cannot be read.
    pub const FAILED: u32 = u32::MAX - 1;
}

/// The bucket of a key, where there are 2^`bits` of them.
///
/// Socket addresses are multiples of the socket's size, so they are spread by Fibonacci hashing (Knuth, The Art of Computer
/// Programming, section 6.4): multiplied by 2^64 divided by the golden ratio, of which the top bits are taken.
#[must_use]
#[inline]
pub const fn bucket(key: u64, bits: u32) -> u32 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let top = (key.wrapping_mul(GOLDEN) >> 32) as u32;
    // Two shifts, as `bits` may be 0 and a shift by 32 is none.
    top >> 1 >> (31 - bits)
}

/// The lower half of an actor's mark (or the number of a byte) and the row of an account, as one word, so that no CPU sees one without
/// the other.
#[must_use]
#[inline]
pub const fn owner(who: u32, row: u32) -> u64 {
    (who as u64) << 32 | row as u64
}

/// Bytes of the name of a class; a shorter name is padded with zeroes.
pub const CLASS_NAME_BYTES: usize = 32;
/// The largest number of a class, of one byte. 0 stands for the rest.
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
/// A single CPU's share may be "negative" (a huge number): only the wrapping sum over all CPUs is meaningful.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tally {
    /// Payload that was transmitted for the first time.
    pub sent: u64,
    /// Payload that arrived in order.
    pub received: u64,
}

/// What the service notes about a row. It writes this through a mapping of the map's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Reported {
    /// Reported sent bytes of the row.
    pub sent: u64,
    /// Reported received bytes of the row.
    pub received: u64,
    /// 0, or, while the row has been taken from its user and is not yet free, the key of the user's account and the highest bit.
    pub left_by: u64,
    /// Reserved.
    pub spare: u64,
}

/// What the program that takes over streams returns where another generation is active.
pub const NOT_ACTING: u32 = u32::MAX;

/// The limit of noted ends while streams are taken over, which takes some milliseconds.
pub const MAX_ENDED: u32 = 16_384;

/// Indices of the per-CPU array of rare events.
pub mod event {
    /// Connections that were older than the programs.
    pub const LATE: u32 = 0;
    /// Connections for which there was no room: counted when they end.
    pub const UNFOLLOWED: u32 = 1;
    /// Accounts that were opened.
    pub const ACCOUNTS: u32 = 2;
    /// Opened accounts that are finer than a user's.
    pub const ACTORS: u32 = 3;
    /// Connections that were audited at their end.
    pub const AUDITED: u32 = 4;
    /// Audited connections whose stream disagreed with the kernel.
    pub const MISMATCHED: u32 = 5;
    /// Connections that a new generation of programs took over or adopted, and had no room for: what they moved since is not counted.
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
