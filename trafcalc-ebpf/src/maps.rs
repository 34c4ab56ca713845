//! The maps, and the constants that the loader sets. Sizes here are defaults; the loader overrides them.
#![expect(unsafe_code, reason = "constants are replaced behind the compiler's back")]

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, Queue};
use trafcalc_common::audit::EVIDENCE_WORDS;
use trafcalc_common::maps::{
    BUCKETS_A_WORD, Bucket, CLASS_NAME_BYTES, Place, Reported, SPILL_PLACE, STEPS_A_RUN, Stream, Tally, event, table,
};
use trafcalc_common::offsets::{Offsets, SweepOffsets};

/// The streams of connections, by the address of their socket.
#[map]
pub(crate) static BUCKETS: Array<Bucket> = Array::with_max_entries(1, 0);

/// A bit for each bucket that may have a stream.
#[map]
pub(crate) static OCCUPIED: Array<u64> = Array::with_max_entries(1, 0);

/// Streams for which their bucket had no room. The loader takes the flag away where the kernel wants such a hash allocated
/// whole: it looks for this number of elements and the flag side by side.
#[map]
pub(crate) static SPILL: HashMap<u64, Place> = HashMap::with_max_entries(SPILL_PLACE, BPF_F_NO_PREALLOC);

/// Words about the table, by the indices in `trafcalc_common::maps::table`.
#[map]
pub(crate) static TABLE: Array<u64> = Array::with_max_entries(table::COUNT, 0);

/// Connections within this host that were accepted last and whose addresses do not say so, as `trafcalc_common::connection::pair`
/// names them: see [`crate::loopback::note`].
#[map]
pub(crate) static LOCAL: LruHashMap<u64, u32> = LruHashMap::with_max_entries(MAX_LOCAL, 0);

/// More than are accepted until who opened one is looked at, or has ended.
const MAX_LOCAL: u32 = 16_384;

/// Connections without a stream that ended last, by the address of their socket: the number at which each began. It tells the
/// other programs that see the same end.
#[map]
pub(crate) static ENDS: LruHashMap<u64, u32> = LruHashMap::with_max_entries(MAX_ENDS, 0);

/// More ends than can come while the programs of one are called.
const MAX_ENDS: u32 = 1_024;

/// The row of each user's account in each class, by `trafcalc_common::maps::account`.
#[map]
pub(crate) static ACCOUNTS: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);

/// Rows of users that were given back. The service fills it.
#[map]
pub(crate) static FREE_ROWS: Queue<u32> = Queue::with_max_entries(1, 0);

/// The bytes of each row.
#[map]
pub(crate) static TALLIES: PerCpuArray<Tally> = PerCpuArray::with_max_entries(1, 0);

/// The users who have ranges of subordinate uids, by the prefixes of these in network order.
#[map]
pub(crate) static SUBORDINATES: LpmTrie<u32, u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);

/// The number of each class, by the prefixes of its networks.
#[map]
pub(crate) static CLASSES_V4: LpmTrie<u32, u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);

/// The same of IPv6.
#[map]
pub(crate) static CLASSES_V6: LpmTrie<[u32; 4], u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);

/// The name of each class by its number, filled up with zeroes. The programs do not use it: it is here so that it is kept with the
/// other maps.
#[map]
pub(crate) static CLASS_NAMES: Array<[u8; CLASS_NAME_BYTES]> = Array::with_max_entries(1, 0);

/// The users that are wanted. The service fills the filters; what is wanted has any value.
#[map]
pub(crate) static WANTED_USERS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);

/// As many elements as a program takes steps: see [`STEPS_A_RUN`].
#[map]
pub(crate) static STEPS: Array<u64> = Array::with_max_entries(STEPS_A_RUN, 0);

/// One for each bit of a word.
#[map]
pub(crate) static WORD_STEPS: Array<u64> = Array::with_max_entries(BUCKETS_A_WORD, 0);

/// Rare events, by the indices in `trafcalc_common::maps::event`.
#[map]
pub(crate) static EVENTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(event::COUNT, 0);

/// Of each CPU, all about the last connection of which we and the kernel say different things.
#[map]
pub(crate) static EVIDENCE: PerCpuArray<[u64; EVIDENCE_WORDS]> = PerCpuArray::with_max_entries(1, 0);

/// The number of the generation of programs that acts. The programs of all others do nothing: see [`is_acting`].
#[map]
pub(crate) static CURRENT: Array<u32> = Array::with_max_entries(1, 0);

/// What of each row's bytes was reported. The programs do not use it: it is here so that it is kept with the other maps.
#[map]
pub(crate) static REPORTED: Array<Reported> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The streams of the generation before this one. The loader puts the maps of that generation here: see [`crate::takeover`].
#[map]
pub(crate) static OLD_BUCKETS: Array<Bucket> = Array::with_max_entries(1, 0);

/// Those of its streams for which their bucket had no room.
#[map]
pub(crate) static OLD_SPILL: HashMap<u64, Place> = HashMap::with_max_entries(1, 0);

/// Where the process that ended last noted that connections stand, by `trafcalc_common::connection::note_key`.
#[map]
pub(crate) static NOTES: HashMap<u64, Stream> = HashMap::with_max_entries(1, 0);

/// Connections that ended while streams are taken over and that had none, by the address of their socket: see
/// [`crate::takeover`].
#[map]
pub(crate) static ENDED: LruHashMap<u64, u64> = LruHashMap::with_max_entries(1, 0);

/// Where to find what in this kernel's structures.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = Offsets::UNSET;

/// The same for finding sockets.
#[unsafe(no_mangle)]
pub(crate) static SWEEP_OFFSETS: SweepOffsets = SweepOffsets::UNSET;

/// The number of `struct tcp_sock` among the kernel's types, if the kernel has [`trafcalc_common::cast`]; else 0.
#[unsafe(no_mangle)]
static TCP_SOCK_TYPE: u32 = 0;

/// The filters that are set: bits of `trafcalc_common::actor::filter`.
#[unsafe(no_mangle)]
static FILTERS: u32 = 0;

/// 1 if connections within this host are to be counted, too.
#[unsafe(no_mangle)]
static COUNT_LOOPBACK: u32 = 0;

/// Rows that users may have, besides that for others.
#[unsafe(no_mangle)]
static USER_ROWS: u32 = 0;

/// No uid below this is subordinate.
#[unsafe(no_mangle)]
static FIRST_SUBORDINATE: u32 = 0;

/// 1 if accounts are told apart by the class of the peer's address.
#[unsafe(no_mangle)]
static TELL_CLASSES: u32 = 0;

/// There are 2 to the power of this many buckets.
#[unsafe(no_mangle)]
static BUCKET_BITS: u32 = 0;

/// The number of this generation of programs.
#[unsafe(no_mangle)]
static GENERATION: u32 = 0;

/// The generation before had 2 to the power of this many buckets.
#[unsafe(no_mangle)]
static OLD_BUCKET_BITS: u32 = 0;

/// One of the offsets.
macro_rules! offset {
    ($field:ident) => {
        $crate::maps::constant(&$crate::maps::OFFSETS.$field)
    };
}
pub(crate) use offset;

/// One of the offsets for finding sockets.
macro_rules! sweep_offset {
    ($field:ident) => {
        $crate::maps::constant(&$crate::maps::SWEEP_OFFSETS.$field)
    };
}
pub(crate) use sweep_offset;

/// The value of a constant that the loader changes after compilation.
#[inline(always)]
pub(crate) fn constant(value: &u32) -> u32 {
    // SAFETY: a reference is valid; volatile, so that the value at compilation is not taken for granted.
    unsafe { core::ptr::read_volatile(value) }
}

/// The number of `struct tcp_sock` among the kernel's types; `None` if the kernel does not let us load from one.
#[inline(always)]
pub(crate) fn tcp_sock_type() -> Option<u32> {
    match constant(&TCP_SOCK_TYPE) {
        0 => None,
        number => Some(number),
    }
}

/// Whether connections within this host are to be counted, too.
#[inline(always)]
pub(crate) fn count_loopback() -> bool {
    constant(&COUNT_LOOPBACK) != 0
}

/// Whether accounts are told apart by the class of the peer's address.
#[inline(always)]
pub(crate) fn tells_classes() -> bool {
    constant(&TELL_CLASSES) != 0
}

/// Whether a filter is set: one of `trafcalc_common::actor::filter`, or several.
#[inline(always)]
pub(crate) fn filters(which: u32) -> bool {
    constant(&FILTERS) & which != 0
}

/// The number of buckets as a power of 2.
#[inline(always)]
pub(crate) fn bucket_bits() -> u32 {
    constant(&BUCKET_BITS)
}

/// Rows that users may have, besides that for others.
#[inline(always)]
pub(crate) fn user_rows() -> u32 {
    constant(&USER_ROWS)
}

/// No uid below this is subordinate.
#[inline(always)]
pub(crate) fn first_subordinate() -> u32 {
    constant(&FIRST_SUBORDINATE)
}

/// The number of buckets of the generation before, as a power of 2.
#[inline(always)]
pub(crate) fn old_bucket_bits() -> u32 {
    constant(&OLD_BUCKET_BITS)
}

/// Whether this generation of programs is the one that acts. Asked first by every program: a service that takes over attaches
/// its own programs beside those of the former service, and then has them act by one store.
#[inline(always)]
pub(crate) fn is_acting() -> bool {
    // SAFETY: points to a map value.
    CURRENT.get_ptr(0).is_some_and(|acting| unsafe { core::ptr::read_volatile(acting) } == constant(&GENERATION))
}
