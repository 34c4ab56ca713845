//! `tcp_destroy_sock(sk)`: nobody can use the socket any more.

use core::ffi::c_void;

use aya_ebpf::macros::{btf_tracepoint, raw_tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext};

use super::program;
use crate::atomic::{Exchange, Swap, UnderLock};
use crate::sock::Sock;
use crate::stream;

fn raw<S: Swap>(context: &RawTracePointContext) {
    stream::ends::<S>(Sock::new(context.arg::<*const c_void>(0)));
}

fn btf<S: Swap>(context: &BtfTracePointContext) {
    stream::ends::<S>(Sock::typed(context.arg::<*const c_void>(0)));
}

program!(#[raw_tracepoint(tracepoint = "tcp_destroy_sock")] raw_destroy(RawTracePointContext) => raw::<Exchange>);
program!(#[raw_tracepoint(tracepoint = "tcp_destroy_sock")] raw_destroy_nested(RawTracePointContext) => raw::<Exchange>);
program!(#[raw_tracepoint(tracepoint = "tcp_destroy_sock")] raw_destroy_locked(RawTracePointContext) => raw::<UnderLock>);
program!(#[btf_tracepoint(function = "tcp_destroy_sock")] btf_destroy(BtfTracePointContext) => btf::<Exchange>);
program!(#[btf_tracepoint(function = "tcp_destroy_sock")] btf_destroy_nested(BtfTracePointContext) => btf::<Exchange>);
program!(#[btf_tracepoint(function = "tcp_destroy_sock")] btf_destroy_locked(BtfTracePointContext) => btf::<UnderLock>);
