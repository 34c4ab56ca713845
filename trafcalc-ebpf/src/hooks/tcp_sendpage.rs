//! `tcp_sendpage(sk, …)` returns (before Linux 6.5): sendfile or splice handed pages to TCP.

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

program!(#[fexit(function = "tcp_sendpage")] fexit_sendpage(FExitContext) => traced);
