//! `release_sock(sk)`: a system call is about to release the lock of a socket, after it sent, spliced or received. This happens at the
//! end of `tcp_sendmsg` and `tcp_sendpage`. Unlike a kretprobe on these, the hook has the socket as its argument and cannot be lost for
//! want of a return slot. `tcp_release_cb`, TCP's part of it, is no replacement: since Linux 7 it is called only where there is
//! something to do.

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
