//! The owner of a socket: the user of the socket that the application holds. For a subflow of an MPTCP connection that is the MPTCP
//! socket.

use crate::maps::{offset, sweep_offset};
use crate::sock::{Sock, read_kernel};

/// `SOCK_DEAD` of `enum sock_flags` (include/net/sock.h, the same since Linux 2.6): the application has closed it.
const SOCK_DEAD: u64 = 1;

/// The user who owns it now.
#[inline(always)]
pub(crate) fn of(sk: Sock) -> u32 {
    above(sk).and_then(|socket| read_kernel(socket + u64::from(offset!(sk_uid)))).unwrap_or_else(|| sk.uid())
}

/// Whether the socket waits to be accepted: no application holds it yet, and `accept` decides its owner.
#[inline(always)]
pub(crate) fn is_to_come(sk: Sock) -> bool {
    let socket = sk.load::<u64>(offset!(sk_socket));
    let is_without = socket == 0 && sk.load::<u64>(offset!(skc_flags)) & SOCK_DEAD == 0;
    is_without && above(sk).is_none_or(|socket| is_unaccepted(socket))
}

#[inline(always)]
fn is_unaccepted(above: u64) -> bool {
    let socket = read_kernel::<u64>(above + u64::from(offset!(sk_socket)));
    let flags = read_kernel::<u64>(above + u64::from(offset!(skc_flags)));
    socket == Some(0) && flags.is_some_and(|flags| flags & SOCK_DEAD == 0)
}

/// The MPTCP socket above a subflow, if there is one: the upper layer protocol (ULP) may also be TLS.
#[inline(always)]
fn above(sk: Sock) -> Option<u64> {
    let protocol = sk.load::<u64>(offset!(icsk_ulp_ops));
    if protocol == 0 || sweep_offset!(mptcp_conn_list) == 0 {
        return None;
    }
    let name = read_kernel::<u64>(protocol + u64::from(sweep_offset!(ulp_name)))?;
    if name != u64::from_ne_bytes(*b"mptcp\0\0\0") {
        return None;
    }
    let context = sk.load::<u64>(offset!(icsk_ulp_data));
    read_kernel::<u64>(context + u64::from(sweep_offset!(subflow_conn))).filter(|&socket| socket != 0)
}
