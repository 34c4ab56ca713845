//! `writeback_mark_inode_dirty(inode, flags)`: something about an inode is other than on its disk. Most have nothing to do
//! with us; one of a socket is about to be given to another user by `fchown`.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::fchown;

fn raw(context: &RawTracePointContext) {
    fchown::of_any_inode(context.arg(0));
}

crate::program::program!(#[raw_tracepoint(tracepoint = "writeback_mark_inode_dirty")] raw_owner(RawTracePointContext) => raw);
