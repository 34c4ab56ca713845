//! Whether both ends of a connection are on this host. Asked once for each stream, when it begins.

use trafcalc_common::tcp::{is_loopback_v4, is_loopback_v6};

use crate::maps::{count_loopback, offset};
use crate::sock::{Sock, read_kernel};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// `IFF_LOOPBACK` of include/uapi/linux/if.h.
const IFF_LOOPBACK: u32 = 1 << 3;

/// Whether the socket's connection stays on this host, and such connections are not wanted.
#[inline(always)]
pub(crate) fn is_to_be_left_out(sk: Sock) -> bool {
    !count_loopback() && (has_local_peer(sk) || goes_through_lo(sk))
}

#[inline(always)]
fn has_local_peer(sk: Sock) -> bool {
    match sk.read::<u16>(offset!(skc_family)) {
        Some(AF_INET) => has_local_v4_peer(sk),
        Some(AF_INET6) => has_local_v6_peer(sk),
        _ => false,
    }
}

#[inline(always)]
fn has_local_v4_peer(sk: Sock) -> bool {
    let peer = sk.read::<u32>(offset!(skc_daddr));
    peer.is_some_and(is_loopback_v4) || peer == sk.read(offset!(skc_rcv_saddr))
}

#[inline(always)]
fn has_local_v6_peer(sk: Sock) -> bool {
    let Some(peer) = sk.read::<[u32; 4]>(offset!(skc_v6_daddr)) else { return false };
    let Some(own) = sk.read::<[u32; 4]>(offset!(skc_v6_rcv_saddr)) else { return false };
    // Word by word: comparing arrays would call a function that the kernel does not have.
    let is_own = peer[0] == own[0] && peer[1] == own[1] && peer[2] == own[2] && peer[3] == own[3];
    is_own || is_loopback_v6(peer)
}

/// Whether the cached route leaves by a loopback device: that is so for every address of this host.
#[inline(always)]
fn goes_through_lo(sk: Sock) -> bool {
    let Some(route @ 1..) = sk.read::<u64>(offset!(sk_dst_cache)) else { return false };
    let Some(device @ 1..) = read_kernel::<u64>(route + u64::from(offset!(dst_dev))) else { return false };
    let flags = read_kernel::<u32>(device + u64::from(offset!(dev_flags)));
    flags.is_some_and(|flags| flags & IFF_LOOPBACK != 0)
}
