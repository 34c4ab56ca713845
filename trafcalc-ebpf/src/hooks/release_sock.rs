//! `release_sock(sk)`: whoever had locked the socket in a system call is about to let go of it, having sent, spliced or
//! received. It comes at the end of `tcp_sendmsg` and `tcp_sendpage`, and unlike a kretprobe on these it is given the
//! socket and cannot be lost for want of a return slot. `tcp_release_cb`, which is TCP's part of it, is called only where there
//! is something to do since Linux 7.

use core::ffi::c_void;

use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;

use crate::actor::Moment;
use crate::program::program;
use crate::settle::{self, Action};
use crate::sock::Sock;

fn probed(context: &ProbeContext) {
    if let Some(sk) = context.arg::<*const c_void>(0) {
        settle::acts(Sock::new(sk), Action::Sends, Moment::Call);
    }
}

program!(#[kprobe] kprobe_send(ProbeContext) => probed);
