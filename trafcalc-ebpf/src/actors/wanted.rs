//! The filters by process, program and unit. Evaluated when the actor of a stream changes, not at each event.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::read_volatile;

use trafcalc_common::actor::{NAME_BYTES, START_UNIT_NS, filter};

use crate::actor_maps::{WANTED_PROCESSES, WANTED_PROGRAMS, WANTED_UNITS};
use crate::maps::filters;
use crate::table::ANY;
use crate::task::Task;

/// Whether the filters admit a task whose executable has this name.
#[inline(always)]
pub(crate) fn task(task: Task, program: &[u64; NAME_BYTES / 8]) -> bool {
    (!filters(filter::PROGRAMS) || WANTED_PROGRAMS.get_ptr(program).is_some())
        && (!filters(filter::PROCESSES) || process(task))
        && (!filters(filter::UNITS) || task.is_inside(|name| WANTED_UNITS.get_ptr(name).is_some()))
}

/// A process has forked: admits the child if the filter admits the parent.
#[inline(always)]
pub(crate) fn adopt(parent: Task, child: Task) {
    let Some(pid) = child.pid() else { return };
    // A new thread belongs to the same process.
    if parent.pid() == Some(pid) || !process(parent) {
        return;
    }
    if let Some(start) = child.start() {
        let _ = WANTED_PROCESSES.insert(pid, start / START_UNIT_NS, ANY);
    }
}

/// A process ends: its id may be reused.
#[inline(always)]
pub(crate) fn forget(pid: u32) {
    let _ = WANTED_PROCESSES.remove(pid);
}

#[inline(always)]
fn process(task: Task) -> bool {
    let Some(wanted) = task.pid().and_then(|pid| WANTED_PROCESSES.get_ptr(pid)) else { return false };
    // SAFETY: points to a map value.
    let start = unsafe { read_volatile(wanted) };
    task.start().is_some_and(|start_ns| start_ns / START_UNIT_NS == start)
}
