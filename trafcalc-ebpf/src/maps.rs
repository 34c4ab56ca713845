//! The maps, and the constants that the loader sets. Sizes here are defaults; the loader overrides them.
#![expect(unsafe_code, reason = "constants are replaced behind the compiler's back")]

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, Queue, Stack};
use trafcalc_common::actor::{Actor, EPOCH_BITS, NAME_BYTES, Seat};
use trafcalc_common::audit::EVIDENCE_WORDS;
use trafcalc_common::maps::{Bucket, STEPS_A_RUN, Slot, Stream, Tally, event};
use trafcalc_common::offsets::{Offsets, SweepOffsets, TaskOffsets};

/// Connections that are followed where hooks look at each event, by the address of their socket.
#[map]
pub(crate) static BUCKETS: Array<Bucket> = Array::with_max_entries(1, 0);

/// Those that are followed, too, but whose bucket was full.
#[map]
pub(crate) static STREAMS: HashMap<u64, Stream> = HashMap::with_max_entries(1, 0);

/// Connections that are followed where they are swept: see [`crate::slots`].
#[map]
pub(crate) static SLOTS: Array<Slot> = Array::with_max_entries(1, 0);

/// The slot of each, by the address of its socket.
#[map]
pub(crate) static INDEX: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);

/// Slots that were used and are free.
#[map]
pub(crate) static FREE_SLOTS: Stack<u32> = Stack::with_max_entries(1, 0);

/// How many slots were ever used.
#[map]
pub(crate) static USED_SLOTS: Array<u64> = Array::with_max_entries(1, 0);

/// The event that a program has just seen to, which its copies need not: see `hooks::copies`.
#[map]
pub(crate) static DONE: PerCpuArray<[u64; 2]> = PerCpuArray::with_max_entries(1, 0);

/// Connections for which there was no room, by the address of their socket.
#[map]
pub(crate) static UNFOLLOWED: HashMap<u64, Stream> = HashMap::with_max_entries(1, 0);

/// The row of each user's account. Rows are added and never removed; the service only reads.
#[map]
pub(crate) static ACCOUNTS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);

/// The users of the rows: who is in it first has the row.
#[map]
pub(crate) static ROWS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);

/// Where to look for a free row.
#[map]
pub(crate) static NEXT_ROW: Array<u32> = Array::with_max_entries(1, 0);

/// The bytes of each row.
#[map]
pub(crate) static TALLIES: PerCpuArray<Tally> = PerCpuArray::with_max_entries(1, 0);

/// The row of each account that is finer than a user's. The service takes away those of actors that are gone.
#[map]
pub(crate) static ACTORS: HashMap<Actor, u32> = HashMap::with_max_entries(1, 0);

/// What is known of the rows of `ACTORS`, by their numbers.
#[map]
pub(crate) static SEATS: Array<Seat> = Array::with_max_entries(1, 0);

/// The rows that `ACTORS` may have. The service fills it.
#[map]
pub(crate) static FREE_ROWS: Queue<u32> = Queue::with_max_entries(1, 0);

/// How often a process with such a number ended or became another program.
#[map]
pub(crate) static EPOCHS: Array<u32> = Array::with_max_entries(1 << EPOCH_BITS, 0);

/// The users that are wanted. The service fills the filters; what is wanted has any value.
#[map]
pub(crate) static WANTED_USERS: HashMap<u32, u32> = HashMap::with_max_entries(1, 0);

/// The processes that are wanted, with their start in `START_UNIT_NS` since boot.
#[map]
pub(crate) static WANTED_PROCESSES: HashMap<u32, u64> = HashMap::with_max_entries(1, 0);

/// The programs that are wanted, by name.
#[map]
pub(crate) static WANTED_PROGRAMS: HashMap<[u64; NAME_BYTES / 8], u32> = HashMap::with_max_entries(1, 0);

/// The cgroups that are wanted with all that is in them, by name.
#[map]
pub(crate) static WANTED_UNITS: HashMap<[u64; NAME_BYTES / 8], u32> = HashMap::with_max_entries(1, 0);

/// As many elements as a program takes steps: see [`STEPS_A_RUN`].
#[map]
pub(crate) static STEPS: Array<u64> = Array::with_max_entries(STEPS_A_RUN, 0);

/// Rare events, by the indices in `trafcalc_common::maps::event`.
#[map]
pub(crate) static EVENTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(event::COUNT, 0);

/// Of each CPU, all about the last connection of which we and the kernel say different things.
#[map]
pub(crate) static EVIDENCE: PerCpuArray<[u64; EVIDENCE_WORDS]> = PerCpuArray::with_max_entries(1, 0);

/// Where to find what in this kernel's structures.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = Offsets::UNSET;

/// The same for tasks.
#[unsafe(no_mangle)]
pub(crate) static TASK_OFFSETS: TaskOffsets = TaskOffsets::UNSET;

/// The same for finding sockets.
#[unsafe(no_mangle)]
pub(crate) static SWEEP_OFFSETS: SweepOffsets = SweepOffsets::UNSET;

/// 1 if streams are swept, and no hook looks at each event.
#[unsafe(no_mangle)]
static SWEEPS: u32 = 0;

/// The number of `struct tcp_sock` among the kernel's types, if the kernel has [`trafcalc_common::cast`]; else 0.
#[unsafe(no_mangle)]
static TCP_SOCK_TYPE: u32 = 0;

/// What accounts are told apart by: one of `trafcalc_common::actor::by`.
#[unsafe(no_mangle)]
static BY: u32 = 0;

/// 1 if it matters who acts, beyond the user of the socket.
#[unsafe(no_mangle)]
static ACTORS_MATTER: u32 = 0;

/// 1 if the mark of who acts is the process.
#[unsafe(no_mangle)]
static MARK_PROCESSES: u32 = 0;

/// 1 if bytes belong to the user as whom a process acts, not to the user of the socket.
#[unsafe(no_mangle)]
static ACTING: u32 = 0;

/// The filters that are set: bits of `trafcalc_common::actor::filter`.
#[unsafe(no_mangle)]
static FILTERS: u32 = 0;

/// 1 if connections within this host are to be counted, too.
#[unsafe(no_mangle)]
static COUNT_LOOPBACK: u32 = 0;

/// There are 2 to the power of this many buckets.
#[unsafe(no_mangle)]
static BUCKET_BITS: u32 = 0;

/// One of the offsets.
macro_rules! offset {
    ($field:ident) => {
        $crate::maps::constant(&$crate::maps::OFFSETS.$field)
    };
}
pub(crate) use offset;

/// One of the offsets of tasks.
macro_rules! task_offset {
    ($field:ident) => {
        $crate::maps::constant(&$crate::maps::TASK_OFFSETS.$field)
    };
}
pub(crate) use task_offset;

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

/// Whether streams are swept.
#[inline(always)]
pub(crate) fn sweeps() -> bool {
    constant(&SWEEPS) != 0
}

/// Whether connections within this host are to be counted, too.
#[inline(always)]
pub(crate) fn count_loopback() -> bool {
    constant(&COUNT_LOOPBACK) != 0
}

/// What accounts are told apart by.
#[inline(always)]
pub(crate) fn breakdown() -> u32 {
    constant(&BY)
}

/// Whether it matters who acts.
#[inline(always)]
pub(crate) fn actors_matter() -> bool {
    constant(&ACTORS_MATTER) != 0
}

/// Whether the mark of who acts is the process.
#[inline(always)]
pub(crate) fn marks_processes() -> bool {
    constant(&MARK_PROCESSES) != 0
}

/// Whether bytes belong to the user as whom a process acts.
#[inline(always)]
pub(crate) fn acting() -> bool {
    constant(&ACTING) != 0
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
