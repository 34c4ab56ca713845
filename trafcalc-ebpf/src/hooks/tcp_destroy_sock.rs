//! `tcp_destroy_sock(sk)`: nobody can use the socket any more.

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

/// No change of state.
const EVENT: u32 = u32::MAX;

fn raw<S: Swap, const IS_FIRST: bool>(context: &RawTracePointContext) {
    ends::<S, IS_FIRST>(Sock::new(context.arg::<*const c_void>(0)));
}

fn btf<S: Swap, const IS_FIRST: bool>(context: &BtfTracePointContext) {
    ends::<S, IS_FIRST>(Sock::typed(context.arg::<*const c_void>(0)));
}

/// The same by the record of the event, as perf has it: with preemption off.
fn perf(context: &TracePointContext) {
    if let Some(sk) = read_kernel::<*const c_void>(context.as_ptr() as u64 + record::SK) {
        ends::<Exchange, false>(Sock::new(sk));
    }
}

#[inline(always)]
fn ends<S: Swap, const IS_FIRST: bool>(sk: Sock) {
    once::<IS_FIRST>(sk, EVENT, || stream::ends::<S>(sk));
}

program!(#[raw_tracepoint(tracepoint = "tcp_destroy_sock")] raw_destroy(RawTracePointContext) => raw::<Exchange, true>);
program!(#[raw_tracepoint(tracepoint = "tcp_destroy_sock")] raw_destroy_copy(RawTracePointContext) => raw::<Exchange, false>);
program!(#[raw_tracepoint(tracepoint = "tcp_destroy_sock")] raw_destroy_locked(RawTracePointContext) => raw::<UnderLock, true>);
program!(#[btf_tracepoint(function = "tcp_destroy_sock")] btf_destroy(BtfTracePointContext) => btf::<Exchange, true>);
program!(#[btf_tracepoint(function = "tcp_destroy_sock")] btf_destroy_copy(BtfTracePointContext) => btf::<Exchange, false>);
program!(#[btf_tracepoint(function = "tcp_destroy_sock")] btf_destroy_locked(BtfTracePointContext) => btf::<UnderLock, true>);
program!(#[tracepoint(category = "tcp", name = "tcp_destroy_sock")] perf_destroy(TracePointContext) => perf);
