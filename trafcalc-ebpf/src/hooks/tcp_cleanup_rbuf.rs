//! `tcp_cleanup_rbuf(sk, copied)` and, since Linux 6.0, `__tcp_cleanup_rbuf` of the same arguments: a reader has
//! consumed bytes and may owe an acknowledgement; the socket is locked. `copied` lies; it is not looked at.

use core::ffi::c_void;

use aya_ebpf::macros::{fentry, kprobe};
use aya_ebpf::programs::{FEntryContext, ProbeContext};

use super::program;
use crate::atomic::{Exchange, Swap, UnderLock};
use crate::settle;
use crate::sock::Sock;

fn traced<S: Swap>(context: &FEntryContext) {
    settle::received::<S>(Sock::typed(context.arg::<*const c_void>(0)));
}

fn probed<S: Swap>(context: &ProbeContext) {
    if let Some(sk) = context.arg::<*const c_void>(0) {
        settle::received::<S>(Sock::new(sk));
    }
}

program!(#[fentry(function = "tcp_cleanup_rbuf")] fentry_receive(FEntryContext) => traced::<Exchange>);
program!(#[fentry(function = "__tcp_cleanup_rbuf")] fentry_receive_inner(FEntryContext) => traced::<Exchange>);
program!(#[fentry(function = "tcp_cleanup_rbuf")] fentry_receive_locked(FEntryContext) => traced::<UnderLock>);
program!(#[kprobe] kprobe_receive(ProbeContext) => probed::<Exchange>);
program!(#[kprobe] kprobe_receive_locked(ProbeContext) => probed::<UnderLock>);
