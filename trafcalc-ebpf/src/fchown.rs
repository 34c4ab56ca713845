//! `fchown` is about to change the owner of a socket. What moved until now is credited to the former owner.
//!
//! `fchown` of an MPTCP socket changes the user of that socket, but not the user of its subflows, which move the bytes. So the owner of
//! a subflow is read from its MPTCP socket. The new owner is not taken from the arguments, because the kernel may still refuse the
//! change.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ffi::c_void;
use core::ptr::read_volatile;

use crate::bounded_loop::{self, GO_ON, STOP};
use crate::credit;
use crate::look;
use crate::maps::{WORD_STEPS, offset, sweep_offset};
use crate::sock::read_kernel;
use crate::table;

/// `SOCKFS_MAGIC` of include/uapi/linux/magic.h.
const SOCKETS: u64 = 0x534f_434b;
/// `ATTR_UID` of include/linux/fs.h.
const UID_CHANGES: u32 = 1 << 1;
/// `IPPROTO_MPTCP`.
const MPTCP: u16 = 262;
/// Subflows of a connection that are followed (`MPTCP_SUBFLOWS_MAX`).
const MAX_SUBFLOWS: u32 = 8;

/// Settles the socket behind a dentry whose attributes are about to change to `attributes`.
#[inline(always)]
pub(crate) fn of_entry(entry: *const c_void, attributes: *const c_void) {
    let valid = read_kernel::<u32>(attributes as u64 + u64::from(sweep_offset!(iattr_valid)));
    let inode = read_kernel(entry as u64 + u64::from(sweep_offset!(dentry_inode)));
    if let (true, Some(inode)) = (valid.is_some_and(|valid| valid & UID_CHANGES != 0), inode) {
        of_socket(inode);
    }
}

/// Settles the socket of an inode, if the inode is a socket's. The socket still has its former user.
#[inline(always)]
pub(crate) fn of_any_inode(inode: *const c_void) {
    let inode = inode as u64;
    let Some(volume) = read_kernel::<u64>(inode + u64::from(sweep_offset!(inode_sb))) else { return };
    if read_kernel(volume + u64::from(sweep_offset!(sb_magic))) == Some(SOCKETS) {
        of_socket(inode);
    }
}

#[inline(always)]
fn of_socket(inode: u64) {
    let socket = inode - u64::from(sweep_offset!(socket_inode));
    let Some(key @ 1..) = read_kernel::<u64>(socket + u64::from(sweep_offset!(socket_sk))) else { return };
    let has_subflows = sweep_offset!(mptcp_conn_list) != 0;
    if has_subflows && read_kernel(key + u64::from(offset!(sk_protocol))) == Some(MPTCP) {
        of_subflows(key);
    } else {
        settle(key);
    }
}

/// A walk through the list of subflows of a socket.
struct Subflows {
    head: u64,
    node: u64,
}

#[inline(always)]
fn of_subflows(socket: u64) {
    let head = socket + u64::from(sweep_offset!(mptcp_conn_list));
    let mut subflows = Subflows { head, node: read_kernel(head).unwrap_or(head) };
    bounded_loop::each(&WORD_STEPS, subflow, &mut subflows);
}

extern "C" fn subflow(_map: *mut c_void, step: *const u32, _element: *mut u64, subflows: *mut Subflows) -> i64 {
    // SAFETY: both are there as long as the kernel calls.
    let (step, subflows) = unsafe { (read_volatile(step), &mut *subflows) };
    if subflows.node == subflows.head || step >= MAX_SUBFLOWS {
        return STOP;
    }
    let context = subflows.node - u64::from(sweep_offset!(subflow_node));
    if let Some(key @ 1..) = read_kernel::<u64>(context + u64::from(sweep_offset!(subflow_tcp_sock))) {
        settle(key);
    }
    subflows.node = read_kernel(subflows.node).unwrap_or(subflows.head);
    GO_ON
}

/// Credits what moved so far. Exported, so that the verifier checks it only once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn settle(key: u64) -> i32 {
    // Twice, because a sweep may have looked at the same time, and the numbers may have changed while they were read. Not in a loop:
    // before Linux 6.2 the verifier takes a call in a loop for recursion.
    look::look(key, 1);
    look::look(key, 1);
    if let Some(stream) = table::find(key) {
        credit::changes_user(stream);
    }
    0
}
