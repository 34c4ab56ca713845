//! `tcp_cleanup_rbuf(sk, copied)` and, since Linux 6.0, `__tcp_cleanup_rbuf` with the same arguments: a reader has consumed bytes and
//! may owe an acknowledgement; the socket is locked. `copied` can be wrong, so it is not used.

use core::ffi::c_void;

use aya_ebpf::macros::{fentry, kprobe};
use aya_ebpf::programs::{FEntryContext, ProbeContext};

use crate::actor::Moment;
use crate::program::program;
use crate::settle::{self, Action};
use crate::sock::Sock;

fn traced(context: &FEntryContext) {
    if let Some(sk) = settle::traced_sock(context) {
        settle::acts(sk, Action::Reads, Moment::Any);
    }
}

fn probed(context: &ProbeContext) {
    if let Some(sk) = context.arg::<*const c_void>(0) {
        settle::acts(Sock::new(sk), Action::Reads, Moment::Any);
    }
}

program!(#[fentry(function = "tcp_cleanup_rbuf")] fentry_receive(FEntryContext) => traced);
program!(#[fentry(function = "__tcp_cleanup_rbuf")] fentry_receive_inner(FEntryContext) => traced);
program!(#[kprobe] kprobe_receive(ProbeContext) => probed);
