//! `tcp_sendmsg(sk, msg, size)`, or `tcp_sendmsg_locked` of the same arguments, which it calls with the socket locked:
//! bytes were handed to TCP. What it returns lies for MPTCP and kTLS; it is not looked at.
//!
//! And `sk_stream_wait_memory(sk, timeout)`: it is not over, but has to wait until the peer has taken some of them. A
//! single call may take hours to send 2 GiB; without this all of it would be counted when it returns.

use core::ffi::c_void;

use aya_ebpf::macros::{fentry, fexit};
use aya_ebpf::programs::{FEntryContext, FExitContext};

use super::program;
use crate::atomic::{Exchange, Swap, UnderLock};
use crate::settle;
use crate::sock::Sock;

fn traced<S: Swap>(context: &FExitContext) {
    settle::sent::<S>(Sock::typed(context.arg::<*const c_void>(0)));
}

fn waits<S: Swap>(context: &FEntryContext) {
    settle::sent::<S>(Sock::typed(context.arg::<*const c_void>(0)));
}

program!(#[fexit(function = "tcp_sendmsg")] fexit_send(FExitContext) => traced::<Exchange>);
program!(#[fexit(function = "tcp_sendmsg_locked")] fexit_send_locked(FExitContext) => traced::<UnderLock>);
program!(#[fentry(function = "sk_stream_wait_memory")] fentry_send_waits(FEntryContext) => waits::<Exchange>);
program!(#[fentry(function = "sk_stream_wait_memory")] fentry_send_waits_locked(FEntryContext) => waits::<UnderLock>);
