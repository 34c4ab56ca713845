//! `tcp_disconnect(sk, flags)`: a socket is about to lose its peer; it is locked.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::{fentry, kprobe};
use aya_ebpf::programs::{FEntryContext, ProbeContext};

use super::program;
use crate::atomic::Exchange;
use crate::sock::{Sock, read_kernel};
use crate::stream;

fn traced(context: &FEntryContext) {
    // The argument read as a number: as such other programs have it for a key.
    if let Some(address) = read_kernel(context.as_ptr() as u64) {
        stream::loses_peer::<Exchange>(Sock::of_key(address));
    }
}

fn probed(context: &ProbeContext) {
    if let Some(address) = context.arg(0) {
        stream::loses_peer::<Exchange>(Sock::of_key(address));
    }
}

program!(#[fentry(function = "tcp_disconnect")] fentry_disconnect(FEntryContext) => traced);
program!(#[kprobe] kprobe_disconnect(ProbeContext) => probed);
