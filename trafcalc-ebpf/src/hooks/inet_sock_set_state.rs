//! `inet_sock_set_state(sk, old, new)`: a socket is about to change its state; it is locked.

use core::ffi::c_void;

use aya_ebpf::macros::{btf_tracepoint, raw_tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext};

use super::program;
use crate::atomic::{Exchange, Swap, UnderLock};
use crate::sock::Sock;
use crate::stream;

fn raw<S: Swap>(context: &RawTracePointContext) {
    stream::state_changes::<S>(Sock::new(context.arg::<*const c_void>(0)), context.arg(1), context.arg(2));
}

fn btf<S: Swap>(context: &BtfTracePointContext) {
    stream::state_changes::<S>(Sock::typed(context.arg::<*const c_void>(0)), context.arg(1), context.arg(2));
}

program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_state(RawTracePointContext) => raw::<Exchange>);
program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_state_nested(RawTracePointContext) => raw::<Exchange>);
program!(#[raw_tracepoint(tracepoint = "inet_sock_set_state")] raw_state_locked(RawTracePointContext) => raw::<UnderLock>);
program!(#[btf_tracepoint(function = "inet_sock_set_state")] btf_state(BtfTracePointContext) => btf::<Exchange>);
program!(#[btf_tracepoint(function = "inet_sock_set_state")] btf_state_nested(BtfTracePointContext) => btf::<Exchange>);
program!(#[btf_tracepoint(function = "inet_sock_set_state")] btf_state_locked(BtfTracePointContext) => btf::<UnderLock>);
