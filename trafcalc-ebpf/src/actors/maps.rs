//! The maps and constants that only the object for the method `events` has.
#![expect(unsafe_code, reason = "constants are replaced behind the compiler's back")]

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, Queue};
use trafcalc_common::actor::{Actor, EPOCH_BITS, NAME_BYTES, Seat};
use trafcalc_common::offsets::TaskOffsets;

use crate::maps::constant;

/// The row of each account that is finer than a user's. The service removes the accounts of actors that are gone.
#[map]
pub(crate) static ACTORS: HashMap<Actor, u32> = HashMap::with_max_entries(1, 0);

/// The user of each row of `ACTORS`, and how many streams remember the row.
#[map]
pub(crate) static SEATS: Array<Seat> = Array::with_max_entries(1, 0);

/// The free rows for `ACTORS`. The service fills this queue.
#[map]
pub(crate) static FREE_ACTORS: Queue<u32> = Queue::with_max_entries(1, 0);

/// How often a process ended, executed another program, or moved to another cgroup, by the low bits of its id.
#[map]
pub(crate) static EPOCHS: Array<u32> = Array::with_max_entries(1 << EPOCH_BITS, 0);

/// The processes that the filter names, with their start in units of `START_UNIT_NS` since boot.
#[map]
pub(crate) static WANTED_PROCESSES: HashMap<u32, u64> = HashMap::with_max_entries(1, 0);

/// The programs that the filter names.
#[map]
pub(crate) static WANTED_PROGRAMS: HashMap<[u64; NAME_BYTES / 8], u32> = HashMap::with_max_entries(1, 0);

/// The cgroups that the filter names; their descendants match, too.
#[map]
pub(crate) static WANTED_UNITS: HashMap<[u64; NAME_BYTES / 8], u32> = HashMap::with_max_entries(1, 0);

/// Offsets in the kernel's structures of a task.
#[unsafe(no_mangle)]
pub(crate) static TASK_OFFSETS: TaskOffsets = TaskOffsets::UNSET;

/// What accounts are told apart by besides the user: bits of `trafcalc_common::actor::by`.
#[unsafe(no_mangle)]
static BY: u32 = 0;

/// 1 if bytes depend on the actor, and not only on the user of the socket.
#[unsafe(no_mangle)]
static ACTORS_MATTER: u32 = 0;

/// 1 if an actor's mark is its process.
#[unsafe(no_mangle)]
static MARK_PROCESSES: u32 = 0;

/// 1 if bytes belong to the effective user of the process, and not to the user of the socket.
#[unsafe(no_mangle)]
static ACTING: u32 = 0;

/// One of the offsets of tasks.
macro_rules! task_offset {
    ($field:ident) => {
        $crate::maps::constant(&$crate::actor_maps::TASK_OFFSETS.$field)
    };
}
pub(crate) use task_offset;

/// Whether accounts are told apart by one of `trafcalc_common::actor::by`.
#[inline(always)]
pub(crate) fn tells(which: u32) -> bool {
    constant(&BY) & which != 0
}

/// Whether bytes depend on the actor.
#[inline(always)]
pub(crate) fn actors_matter() -> bool {
    constant(&ACTORS_MATTER) != 0
}

/// Whether an actor's mark is its process.
#[inline(always)]
pub(crate) fn marks_processes() -> bool {
    constant(&MARK_PROCESSES) != 0
}

/// Whether bytes belong to the effective user of the process.
#[inline(always)]
pub(crate) fn acting() -> bool {
    constant(&ACTING) != 0
}
