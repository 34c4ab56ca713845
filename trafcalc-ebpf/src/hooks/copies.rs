//! Programs of which the kernel may skip none.
//!
//! It skips a program that has begun on the same processor and is not over. A softirq may interrupt the program of a state
//! change with the beginning of another connection; and where a program at a tracepoint can be preempted (Linux 7), it is
//! not over until its task goes on, which on a busy processor lets tens of other events pass. So these come as copies, one
//! called behind the other, each of which does what there is to do unless another has: all of them have to be underway at
//! once for an event to be lost. Later ones have little to do, and so are seldom underway. Of programs that look at each
//! event a copy needs nothing of this: a second look finds nothing to do by itself.
#![expect(unsafe_code, reason = "map values are raw memory")]

use core::ptr::{read_volatile, write_volatile};

use crate::maps::DONE;

/// Where a copy stands among the others.
pub(super) const FIRST: u32 = 0;
pub(super) const SPARE: u32 = 1;
pub(super) const LAST: u32 = 2;

/// Does what `event` of the socket `key` asks for, unless the copy that was called before has. To do it twice does no harm.
#[inline(always)]
pub(super) fn once<const COPY: u32>(key: u64, event: u64, act: impl FnOnce()) {
    let Some(done) = DONE.get_ptr_mut(0) else { return };
    // SAFETY: `done` points to a map value of this processor. Whoever interrupts in between leaves another event there.
    let is_done = COPY != FIRST && unsafe { read_volatile(done) } == [key, event];
    if !is_done {
        act();
    }
    // The same may happen to this memory again.
    let next = if COPY == LAST { [0; 2] } else { [key, event] };
    if COPY == LAST || !is_done {
        // SAFETY: as above.
        unsafe { write_volatile(done, next) };
    }
}
