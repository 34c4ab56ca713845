//! `sockfs_setattr(idmap, dentry, attributes)` (of these arguments since Linux 5.12): `fchown` is about to give a socket to
//! another user.

use aya_ebpf::macros::{fentry, kprobe};
use aya_ebpf::programs::{FEntryContext, ProbeContext};

use super::program;
use crate::owner;

fn traced(context: &FEntryContext) {
    owner::changes_by_entry(context.arg(1));
}

fn probed(context: &ProbeContext) {
    if let Some(entry) = context.arg(1) {
        owner::changes_by_entry(entry);
    }
}

program!(#[fentry(function = "sockfs_setattr")] fentry_owner(FEntryContext) => traced);
program!(#[kprobe] kprobe_owner(ProbeContext) => probed);
