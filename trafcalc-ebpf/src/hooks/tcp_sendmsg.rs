//! `tcp_sendmsg(sk, msg, size)` is over: bytes were handed to TCP. What it returns lies for MPTCP and kTLS; it is not looked at.

use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;

use crate::actor::Moment;
use crate::program::program;
use crate::settle::{self, Action};

fn traced(context: &FExitContext) {
    if let Some(sk) = settle::traced_sock(context) {
        settle::acts(sk, Action::Sends, Moment::Call);
    }
}

program!(#[fexit(function = "tcp_sendmsg")] fexit_send(FExitContext) => traced);
