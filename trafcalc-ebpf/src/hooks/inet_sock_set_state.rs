//! `inet_sock_set_state(sk, old, new)`: a socket is about to change its state; it is locked.

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::{btf_tracepoint, raw_tracepoint, tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext, TracePointContext};
use trafcalc_common::record;

use super::copies::once;
use super::program;
use crate::atomic::{Exchange, Swap, UnderLock};
use crate::sock::{Sock, read_kernel};
use crate::stream;

fn raw<S: Swap, const IS_FIRST: bool>(context: &RawTracePointContext) {
    changes::<S, IS_FIRST>(Sock::new(context.arg::<*const c_void>(0)), context.arg(1), context.arg(2));
}

fn btf<S: Swap, const IS_FIRST: bool>(context: &BtfTracePointContext) {
    changes::<S, IS_FIRST>(Sock::typed(context.arg::<*const c_void>(0)), context.arg(1), context.arg(2));
}

/// The same by the record of the event, as perf has it: with preemption off.
fn perf(context: &TracePointContext) {
    let record = context.as_ptr() as u64;
    let states = (read_kernel(record + record::OLD), read_kernel(record + record::NEW));
    if let (Some(sk), (Some(old), Some(new))) = (read_kernel::<*const c_void>(record + record::SK), states) {
        changes::<Exchange, false>(Sock::new(sk), old, new);
    }
}

#[inline(always)]
fn changes<S: Swap, const IS_FIRST: bool>(sk: Sock, old: u32, new: u32) {
    once::<IS_FIRST>(sk, old << 8 | new, || stream::state_changes::<S>(sk, old, new));
}

program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_state(RawTracePointContext) => raw::<Exchange, true>);
program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_state_copy(RawTracePointContext) => raw::<Exchange, false>);
program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_state_locked(RawTracePointContext) => raw::<UnderLock, true>);
program!(#[btf_tracepoint(function = "inet_sock_set_state")] btf_state(BtfTracePointContext) => btf::<Exchange, true>);
program!(#[btf_tracepoint(function = "inet_sock_set_state")] btf_state_copy(BtfTracePointContext) => btf::<Exchange, false>);
program!(#[btf_tracepoint(function = "inet_sock_set_state")] btf_state_locked(BtfTracePointContext) => btf::<UnderLock, true>);
program!(#[tracepoint(category = "sock", name = "inet_sock_set_state")] perf_state(TracePointContext) => perf);
