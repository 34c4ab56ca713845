//! `sockfs_setattr(idmap, dentry, attributes)` (of these arguments since Linux 5.12): `fchown` is about to give a socket to
//! another user.

use aya_ebpf::macros::{fentry, kprobe};
use aya_ebpf::programs::{FEntryContext, ProbeContext};

use crate::fchown;

fn traced(context: &FEntryContext) {
    fchown::of_entry(context.arg(1));
}

fn probed(context: &ProbeContext) {
    if let Some(entry) = context.arg(1) {
        fchown::of_entry(entry);
    }
}

crate::program::program!(#[fentry(function = "sockfs_setattr")] fentry_owner(FEntryContext) => traced);
crate::program::program!(#[kprobe] kprobe_owner(ProbeContext) => probed);
