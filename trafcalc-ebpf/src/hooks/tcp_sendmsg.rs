//! `tcp_sendmsg(sk, msg, size)` returns: bytes were handed to TCP. The return value is wrong for MPTCP and kTLS, so it is not used.

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
