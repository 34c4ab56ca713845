//! `do_tcp_sendpages(sk, …)` (before Linux 6.5): sendfile or splice handed pages to TCP; the socket is locked.

use core::ffi::c_void;

use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;

use super::program;
use crate::atomic::{Exchange, Swap, UnderLock};
use crate::settle;
use crate::sock::Sock;

fn traced<S: Swap>(context: &FExitContext) {
    settle::sent::<S>(Sock::typed(context.arg::<*const c_void>(0)));
}

program!(#[fexit(function = "tcp_sendpage")] fexit_sendpage(FExitContext) => traced::<Exchange>);
program!(#[fexit(function = "do_tcp_sendpages")] fexit_sendpage_locked(FExitContext) => traced::<UnderLock>);
