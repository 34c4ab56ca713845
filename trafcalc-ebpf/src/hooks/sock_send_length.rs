//! `sock_send_length(sk, length, flags)` (Linux 6.3 and later): a send, write, sendfile or splice to a socket of any protocol has
//! ended. The length is wrong for some callers, so it is not used.

use core::ffi::c_void;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::actor::Moment;
use crate::program::program;
use crate::settle::{self, Action};
use crate::sock::Sock;

fn raw(context: &RawTracePointContext) {
    settle::acts(Sock::new(context.arg::<*const c_void>(0)), Action::Sends, Moment::Call);
}

program!(#[raw_tracepoint(tracepoint = "sock_send_length")] raw_send(RawTracePointContext) => raw);
