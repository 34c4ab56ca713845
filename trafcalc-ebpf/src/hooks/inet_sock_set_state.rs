//! `inet_sock_set_state(sk, old, new)`: a socket is about to change its state; it is locked.

use core::ffi::c_void;

use aya_ebpf::macros::{btf_tracepoint, raw_tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext};

use super::copies::{FIRST, LAST, SPARE, once};
use super::program;
use crate::atomic::{Exchange, Swap, UnderLock};
use crate::sock::Sock;
use crate::stream;

fn raw<S: Swap, const COPY: u32>(context: &RawTracePointContext) {
    changes::<S, COPY>(Sock::new(context.arg::<*const c_void>(0)), context.arg(1), context.arg(2));
}

fn btf<S: Swap, const COPY: u32>(context: &BtfTracePointContext) {
    changes::<S, COPY>(Sock::typed(context.arg::<*const c_void>(0)), context.arg(1), context.arg(2));
}

#[inline(always)]
fn changes<S: Swap, const COPY: u32>(sk: Sock, old: u32, new: u32) {
    once::<COPY>(sk.key(), u64::from(old) << 32 | u64::from(new), || stream::state_changes::<S>(sk, old, new));
}

program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_state(RawTracePointContext) => raw::<Exchange, FIRST>);
program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_state_spare(RawTracePointContext) => raw::<Exchange, SPARE>);
program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_state_spare2(RawTracePointContext) => raw::<Exchange, SPARE>);
program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_state_last(RawTracePointContext) => raw::<Exchange, LAST>);
program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_state_locked(RawTracePointContext) => raw::<UnderLock, FIRST>);
program!(#[btf_tracepoint(function = "inet_sock_set_state")] btf_state(BtfTracePointContext) => btf::<Exchange, FIRST>);
program!(#[btf_tracepoint(function = "inet_sock_set_state")] btf_state_spare(BtfTracePointContext) => btf::<Exchange, SPARE>);
program!(#[btf_tracepoint(function = "inet_sock_set_state")] btf_state_spare2(BtfTracePointContext) => btf::<Exchange, SPARE>);
program!(#[btf_tracepoint(function = "inet_sock_set_state")] btf_state_last(BtfTracePointContext) => btf::<Exchange, LAST>);
program!(#[btf_tracepoint(function = "inet_sock_set_state")] btf_state_locked(BtfTracePointContext) => btf::<UnderLock, FIRST>);
