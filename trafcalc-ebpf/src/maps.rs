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

/// A bitmap of the buckets that may have a stream.
#[map]
pub(crate) static OCCUPIED: Array<u64> = Array::with_max_entries(1, 0);

/// The streams whose bucket was full. The loader clears the flag where the kernel wants such a hash preallocated. It finds the flag in
/// the object by the number of entries in front of it.
#[map]
pub(crate) static SPILL: HashMap<u64, Place> = HashMap::with_max_entries(SPILL_PLACE, BPF_F_NO_PREALLOC);

/// Words about the table of streams, by the indices in `trafcalc_common::maps::table`.
#[map]
pub(crate) static TABLE: Array<u64> = Array::with_max_entries(table::COUNT, 0);

/// The connections within this host that were accepted last and whose addresses do not show it, by `trafcalc_common::connection::pair`:
/// see [`crate::loopback::note`].
#[map]
pub(crate) static LOCAL: LruHashMap<u64, u32> = LruHashMap::with_max_entries(MAX_LOCAL, 0);

/// More than are accepted before the opening end of one is looked at, or has ended.
const MAX_LOCAL: u32 = 16_384;

/// The connections without a stream that ended last, by the address of their socket: the base of their sequence numbers. It tells the
/// other programs that see the same end.
#[map]
pub(crate) static ENDS: LruHashMap<u64, u32> = LruHashMap::with_max_entries(MAX_ENDS, 0);

/// More connections than can end while the programs for one end run.
const MAX_ENDS: u32 = 1_024;

/// The row of each user's account in each class, by `trafcalc_common::maps::account`.
#[map]
pub(crate) static ACCOUNTS: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);

/// Free rows for `ACCOUNTS`. The service fills this queue.
#[map]
pub(crate) static FREE_ROWS: Queue<u32> = Queue::with_max_entries(1, 0);

/// The bytes of each row.
#[map]
pub(crate) static TALLIES: PerCpuArray<Tally> = PerCpuArray::with_max_entries(1, 0);

/// The holders of ranges of subordinate uids, by the prefixes of the ranges in network order.
#[map]
pub(crate) static SUBORDINATES: LpmTrie<u32, u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);

/// The number of each class, by the prefixes of its networks.
#[map]
pub(crate) static CLASSES_V4: LpmTrie<u32, u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);

/// The same of IPv6.
#[map]
pub(crate) static CLASSES_V6: LpmTrie<[u32; 4], u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);

/// The name of each class by its number, padded with zeroes. The programs do not use it: it is here so that it is pinned with the other
/// maps.
#[map]
pub(crate) static CLASS_NAMES: Array<[u8; CLASS_NAME_BYTES]> = Array::with_max_entries(1, 0);

/// The users that the filter admits. The service fills the filters; the values are not used.
#[map]
pub(crate) static WANTED_USERS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);

/// As many elements as a program takes steps in one run: see [`STEPS_A_RUN`].
#[map]
pub(crate) static STEPS: Array<u64> = Array::with_max_entries(STEPS_A_RUN, 0);

/// One element for each bit of a word.
#[map]
pub(crate) static WORD_STEPS: Array<u64> = Array::with_max_entries(BUCKETS_A_WORD, 0);

/// Rare events, by the indices in `trafcalc_common::maps::event`.
#[map]
pub(crate) static EVENTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(event::COUNT, 0);

/// For each CPU, the fields of the last connection whose stream and socket disagreed.
#[map]
pub(crate) static EVIDENCE: PerCpuArray<[u64; EVIDENCE_WORDS]> = PerCpuArray::with_max_entries(1, 0);

/// The number of the active generation of programs. The programs of all others do nothing: see [`is_acting`].
#[map]
pub(crate) static CURRENT: Array<u32> = Array::with_max_entries(1, 0);

/// How many bytes of each row were reported. The programs do not use it: it is here so that it is pinned with the other maps.
#[map]
pub(crate) static REPORTED: Array<Reported> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The streams of the former generation. The loader puts that generation's maps here: see [`crate::takeover`].
#[map]
pub(crate) static OLD_BUCKETS: Array<Bucket> = Array::with_max_entries(1, 0);

/// The streams of the former generation whose bucket was full.
#[map]
pub(crate) static OLD_SPILL: HashMap<u64, Place> = HashMap::with_max_entries(1, 0);

/// The positions of open connections that the last process noted when it ended, by `trafcalc_common::connection::note_key`.
#[map]
pub(crate) static NOTES: HashMap<u64, Stream> = HashMap::with_max_entries(1, 0);

/// Connections that ended without a stream while streams are taken over, by the address of their socket: see [`crate::takeover`].
#[map]
pub(crate) static ENDED: LruHashMap<u64, u64> = LruHashMap::with_max_entries(1, 0);

/// Offsets in this kernel's structures.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = Offsets::UNSET;

/// Offsets for finding sockets without a hook.
#[unsafe(no_mangle)]
pub(crate) static SWEEP_OFFSETS: SweepOffsets = SweepOffsets::UNSET;

/// The BTF type id of `struct tcp_sock`, if the kernel has [`trafcalc_common::cast`]; else 0.
#[unsafe(no_mangle)]
static TCP_SOCK_TYPE: u32 = 0;

/// The filters that are set: bits of `trafcalc_common::actor::filter`.
#[unsafe(no_mangle)]
static FILTERS: u32 = 0;

/// 1 if connections within this host are counted.
#[unsafe(no_mangle)]
static COUNT_LOOPBACK: u32 = 0;

/// The number of rows for users, without that of the account for others.
#[unsafe(no_mangle)]
static USER_ROWS: u32 = 0;

/// No uid below this is subordinate.
#[unsafe(no_mangle)]
static FIRST_SUBORDINATE: u32 = 0;

/// 1 if accounts are told apart by the class of the peer's address.
#[unsafe(no_mangle)]
static TELL_CLASSES: u32 = 0;

/// The number of buckets is 2 to the power of this.
#[unsafe(no_mangle)]
static BUCKET_BITS: u32 = 0;

/// The number of this generation of programs.
#[unsafe(no_mangle)]
static GENERATION: u32 = 0;

/// The number of buckets of the former generation is 2 to the power of this.
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

/// The value of a constant that the loader overrides after compilation.
#[inline(always)]
pub(crate) fn constant(value: &u32) -> u32 {
    // SAFETY: a reference is valid. Volatile, so that the compiler does not fold the value.
    unsafe { core::ptr::read_volatile(value) }
}

/// The BTF type id of `struct tcp_sock`; `None` if the kernel does not let programs load from one.
#[inline(always)]
pub(crate) fn tcp_sock_type() -> Option<u32> {
    match constant(&TCP_SOCK_TYPE) {
        0 => None,
        number => Some(number),
    }
}

/// Whether connections within this host are counted.
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

/// The number of rows for users, without that of the account for others.
#[inline(always)]
pub(crate) fn user_rows() -> u32 {
    constant(&USER_ROWS)
}

/// No uid below this is subordinate.
#[inline(always)]
pub(crate) fn first_subordinate() -> u32 {
    constant(&FIRST_SUBORDINATE)
}

/// The number of buckets of the former generation, as a power of 2.
#[inline(always)]
pub(crate) fn old_bucket_bits() -> u32 {
    constant(&OLD_BUCKET_BITS)
}

/// Whether this generation of programs is the active one. Every program asks this first: a service that takes over attaches its own
/// programs beside those of the former service, and then activates them by one store.
#[inline(always)]
pub(crate) fn is_acting() -> bool {
    // SAFETY: points to a map value.
    CURRENT.get_ptr(0).is_some_and(|acting| unsafe { core::ptr::read_volatile(acting) } == constant(&GENERATION))
}
