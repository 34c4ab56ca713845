//! `inet_sock_set_state(sk, old, new)`: a socket is about to change its state; it is locked.
//!
//! No event may be missed, but the kernel skips a program that is still running on the same processor, as when a softirq that ends one
//! connection interrupts the program that handles the beginning of another. So two programs do the same, one called after the other:
//! only one of them can be the interrupted one. Since Linux 7 a program at a tracepoint can be preempted, and stays running until its
//! task continues; meanwhile other events pass. For that case perf calls a third program, with preemption disabled. What one of them
//! has done, the others find done in the table of streams.

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::{raw_tracepoint, tracepoint};
use aya_ebpf::programs::{RawTracePointContext, TracePointContext};
use trafcalc_common::connection::{Change, change};
use trafcalc_common::record;

use crate::life;
use crate::sock::{Sock, read_kernel};
use crate::takeover;

/// Most changes of state do not matter, and return before a map is touched.
#[inline(always)]
fn matters(context: &RawTracePointContext) -> bool {
    change(context.arg(1), context.arg(2)) != Change::Nothing
}

#[inline(always)]
fn raw(context: &RawTracePointContext) {
    life::changes(Sock::new(context.arg::<*const c_void>(0)), context.arg(1), context.arg(2));
}

/// Takes a stream over before the other programs of this generation see the event: they are attached after this one.
#[inline(always)]
fn take(context: &RawTracePointContext) {
    takeover::before(Sock::new(context.arg::<*const c_void>(0)), context.arg(1), context.arg(2));
}

/// The same, with arguments read from the record of the event.
#[inline(always)]
fn perf(context: &TracePointContext) {
    let record = context.as_ptr() as u64;
    let states = (read_kernel(record + record::OLD), read_kernel(record + record::NEW));
    if let (Some(sk), (Some(old), Some(new))) = (read_kernel::<*const c_void>(record + record::SK), states) {
        life::changes(Sock::new(sk), old, new);
    }
}

crate::program::program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_state(RawTracePointContext) if matters => raw);
crate::program::program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_state_copy(RawTracePointContext) if matters => raw);
crate::program::program!(#[tracepoint(category = "sock", name = "inet_sock_set_state")] perf_state(TracePointContext) => perf);
crate::program::program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_take(RawTracePointContext) => take);
crate::program::program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_take_copy(RawTracePointContext) => take);
