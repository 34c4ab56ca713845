//! Programs of which the kernel may skip none.
//!
//! It skips a program that has begun on the same processor and is not over. A softirq may interrupt the program of a state
//! change with the beginning of another connection, so these come as two that do the same, one called behind the other:
//! only one can be the interrupted one. Since Linux 7 a program at a tracepoint can be preempted, and is not over until its
//! task goes on, which on a busy processor lets tens of other events pass, and both may be underway. There a third one is
//! called by perf, which has preemption off: it is skipped only where a softirq has interrupted it or another of perf's.
//! Each does what there is to do unless another has. Of other programs a copy needs nothing of this: a second look finds
//! nothing to do by itself.
#![expect(unsafe_code, reason = "map values are raw memory")]

use core::ptr::{read_volatile, write_volatile};

use crate::maps::DONE;
use crate::sock::Sock;

/// Does what `event` of `sk` asks for, unless a copy that was called before has. To do it twice does no harm, as where the
/// task goes on on another processor in between.
#[inline(always)]
pub(super) fn once<const IS_FIRST: bool>(sk: Sock, event: u32, act: impl FnOnce()) {
    let Some(done) = DONE.get_ptr_mut(0) else { return };
    // The same may happen to this piece of memory in another life, with other numbers. By its address: with a pointer whose
    // type it knows, the verifier of Linux 6.1 refuses programs that tell processes apart.
    let this = [sk.key(), u64::from(event) << 32 | u64::from(Sock::of_key(sk.key()).write_seq().unwrap_or(0))];
    // SAFETY: `done` points to a map value of this processor. Whoever interrupts in between leaves another event there.
    unsafe {
        if IS_FIRST || read_volatile(done) != this {
            // Before: nothing then has to be kept on the stack, which is short before Linux 6.12.
            write_volatile(done, this);
            act();
        }
    }
}
