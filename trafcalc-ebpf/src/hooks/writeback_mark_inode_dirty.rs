//! `writeback_mark_inode_dirty(inode, flags)`: an inode differs from its copy on disk. Most inodes do not concern sockets; the inode of
//! a socket gets here when `fchown` is about to give it to another user.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::fchown;

fn raw(context: &RawTracePointContext) {
    fchown::of_any_inode(context.arg(0));
}

crate::program::program!(#[raw_tracepoint(tracepoint = "writeback_mark_inode_dirty")] raw_owner(RawTracePointContext) => raw);
