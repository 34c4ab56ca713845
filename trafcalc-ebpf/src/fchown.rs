//! A socket is about to have another owner: the last moment at which its bytes are those of the former.

use core::ffi::c_void;

use crate::credit;
use crate::maps::sweep_offset;
use crate::sock::{Sock, read_kernel};
use crate::table;

/// `SOCKFS_MAGIC` of include/uapi/linux/magic.h.
const SOCKETS: u64 = 0x534f_434b;

/// Looks, if a sweep looks at the same time each time.
const TRIES: u32 = 4;

/// The socket that a directory entry leads to.
#[inline(always)]
pub(crate) fn of_entry(entry: *const c_void) {
    if let Some(inode) = read_kernel(entry as u64 + u64::from(sweep_offset!(dentry_inode))) {
        of_inode(inode);
    }
}

/// The socket that an inode is of, if it is a socket's.
#[inline(always)]
pub(crate) fn of_any_inode(inode: *const c_void) {
    let inode = inode as u64;
    let Some(volume) = read_kernel::<u64>(inode + u64::from(sweep_offset!(inode_sb))) else { return };
    if read_kernel(volume + u64::from(sweep_offset!(sb_magic))) == Some(SOCKETS) {
        of_inode(inode);
    }
}

#[inline(always)]
fn of_inode(inode: u64) {
    let socket = inode - u64::from(sweep_offset!(socket_inode));
    let Some(key @ 1..) = read_kernel::<u64>(socket + u64::from(sweep_offset!(socket_sk))) else { return };
    if let Some(stream) = table::find(key) {
        for _ in 0..TRIES {
            if !credit::look(Sock::of(key), stream, true) {
                break;
            }
        }
    }
}
