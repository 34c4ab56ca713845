//! `tcp_destroy_sock(sk)`: nobody can use the socket any more.

use core::ffi::c_void;

use aya_ebpf::macros::{btf_tracepoint, raw_tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext};

use super::copies::{FIRST, LAST, SPARE, once};
use super::program;
use crate::atomic::{Exchange, Swap, UnderLock};
use crate::sock::Sock;
use crate::stream;

/// No change of state.
const EVENT: u64 = u64::MAX;

fn raw<S: Swap, const COPY: u32>(context: &RawTracePointContext) {
    ends::<S, COPY>(Sock::new(context.arg::<*const c_void>(0)));
}

fn btf<S: Swap, const COPY: u32>(context: &BtfTracePointContext) {
    ends::<S, COPY>(Sock::typed(context.arg::<*const c_void>(0)));
}

#[inline(always)]
fn ends<S: Swap, const COPY: u32>(sk: Sock) {
    once::<COPY>(sk.key(), EVENT, || stream::ends::<S>(sk));
}

program!(#[raw_tracepoint(tracepoint = "tcp_destroy_sock")] raw_destroy(RawTracePointContext) => raw::<Exchange, FIRST>);
program!(#[raw_tracepoint(tracepoint = "tcp_destroy_sock")] raw_destroy_spare(RawTracePointContext) => raw::<Exchange, SPARE>);
program!(#[raw_tracepoint(tracepoint = "tcp_destroy_sock")] raw_destroy_spare2(RawTracePointContext) => raw::<Exchange, SPARE>);
program!(#[raw_tracepoint(tracepoint = "tcp_destroy_sock")] raw_destroy_last(RawTracePointContext) => raw::<Exchange, LAST>);
program!(#[raw_tracepoint(tracepoint = "tcp_destroy_sock")] raw_destroy_locked(RawTracePointContext) => raw::<UnderLock, FIRST>);
program!(#[btf_tracepoint(function = "tcp_destroy_sock")] btf_destroy(BtfTracePointContext) => btf::<Exchange, FIRST>);
program!(#[btf_tracepoint(function = "tcp_destroy_sock")] btf_destroy_spare(BtfTracePointContext) => btf::<Exchange, SPARE>);
program!(#[btf_tracepoint(function = "tcp_destroy_sock")] btf_destroy_spare2(BtfTracePointContext) => btf::<Exchange, SPARE>);
program!(#[btf_tracepoint(function = "tcp_destroy_sock")] btf_destroy_last(BtfTracePointContext) => btf::<Exchange, LAST>);
program!(#[btf_tracepoint(function = "tcp_destroy_sock")] btf_destroy_locked(BtfTracePointContext) => btf::<UnderLock, FIRST>);
