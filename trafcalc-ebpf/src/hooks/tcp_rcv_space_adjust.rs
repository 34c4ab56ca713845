//! `tcp_rcv_space_adjust(sk)`: bytes were copied, spliced or mapped to a reader; the socket is locked.

use core::ffi::c_void;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::actor::Moment;
use crate::program::program;
use crate::settle::{self, Action};
use crate::sock::Sock;

fn raw(context: &RawTracePointContext) {
    settle::acts(Sock::new(context.arg::<*const c_void>(0)), Action::Reads, Moment::Any);
}

program!(#[raw_tracepoint(tracepoint = "tcp_rcv_space_adjust")] raw_receive(RawTracePointContext) => raw);
