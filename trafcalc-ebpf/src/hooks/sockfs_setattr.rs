//! `sockfs_setattr(idmap, dentry, attributes)` (with these arguments since Linux 5.12): `fchown` is about to give a socket to another
//! user.

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::{fentry, kprobe};
use aya_ebpf::programs::{FEntryContext, ProbeContext};

use crate::fchown;
use crate::sock::read_kernel;

fn traced(context: &FEntryContext) {
    // Read as numbers: the verifier's typed pointers are of no use here.
    let argument = |index: u64| read_kernel::<*const c_void>(context.as_ptr() as u64 + index * 8);
    if let (Some(entry), Some(attributes)) = (argument(1), argument(2)) {
        fchown::of_entry(entry, attributes);
    }
}

fn probed(context: &ProbeContext) {
    if let (Some(entry), Some(attributes)) = (context.arg(1), context.arg(2)) {
        fchown::of_entry(entry, attributes);
    }
}

crate::program::program!(#[fentry(function = "sockfs_setattr")] fentry_owner(FEntryContext) => traced);
crate::program::program!(#[kprobe] kprobe_owner(ProbeContext) => probed);
