//! Whether both ends of a connection are on this host.
//!
//! When a connection begins, its addresses and its route show whether it stays on this host. If NAT leads a connection back to this
//! host, the accepted end recognises it by the interface on which the last segment of the handshake came in (`lo` has the same number
//! in every network namespace). It then notes the sequence numbers at which both directions began (`LOCAL`), and the end that opened
//! the connection finds that note. The interface alone proves nothing to the end that opened: anybody can send a SYN with the addresses
//! of a connection from this host, but nobody can choose the first sequence number of the accepting end. If an event only brings a look
//! forward (users with `--method events`), a connection is left alone until its interface is known.
#![expect(unsafe_code, reason = "a function is exported")]

use trafcalc_common::connection::pair;
use trafcalc_common::maps::Stream;
use trafcalc_common::tcp::{is_loopback_v4, is_loopback_v6};

use crate::maps::{LOCAL, count_loopback, offset, sweep_offset};
use crate::sock::{Sock, read_kernel};
use crate::table::ANY;

const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;
/// `IFF_LOOPBACK` of include/uapi/linux/if.h.
const IFF_LOOPBACK: u32 = 1 << 3;

/// The number of `lo` in every network namespace (`LOOPBACK_IFINDEX` of include/net/flow.h).
const LO: u32 = 1;

/// No interface has this number.
pub(crate) const UNKNOWN: u32 = 0;

/// Whether the connection stays on this host by its route, whatever its addresses, and loopback is left out. Called when it begins.
#[inline(always)]
pub(crate) fn is_routed_here(sk: Sock) -> bool {
    !count_loopback() && goes_through_lo(sk.key()) != 0
}

/// The same by the addresses, which never change during a connection.
#[inline(always)]
pub(crate) fn has_local_peer_to_leave_out(sk: Sock) -> bool {
    !count_loopback() && has_local_peer(sk)
}

/// Whether NAT led the accepted connection of `sk`, which begins now, to this host, and loopback is left out: the segment that ended
/// its handshake came in on `lo`.
///
/// Later the interface proves nothing: anybody can send a SYN with the addresses of a connection over `lo`.
#[inline(always)]
pub(crate) fn was_led_here(sk: Sock) -> bool {
    !count_loopback() && receiving_interface(sk) == LO
}

/// Notes an accepted connection that stays on this host, for the end that opened it: behind NAT, that end cannot know.
#[inline(always)]
pub(crate) fn note(sk: Sock, stream: &Stream) {
    let _ = LOCAL.insert(pair(stream, false) ^ namespace(sk), 1, ANY);
}

/// Where the other end of the connection of `sk` is, for a connection that this host opened or whose beginning was missed.
#[inline(always)]
pub(crate) fn other_end(sk: Sock, stream: &Stream, opened: bool) -> OtherEnd {
    if count_loopback() {
        return OtherEnd::Elsewhere;
    }
    match find_other_end(sk.key(), pair(stream, opened)) {
        HERE => OtherEnd::Here,
        UNDECIDED => OtherEnd::Undecided,
        _ => OtherEnd::Elsewhere,
    }
}

/// Where the other end of a connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtherEnd {
    /// Not on this host, or not to be left out.
    Elsewhere,
    /// On this host.
    Here,
    /// The connection is noted, but the interface of its segments is not known yet. It may stay unknown to the end, if each segment
    /// arrives while a system call owns the socket.
    Undecided,
}

const ELSEWHERE: u32 = 0;
const HERE: u32 = 1;
const UNDECIDED: u32 = 2;

/// A separate function, so that it takes no space in its callers' frames; exported, so that the verifier checks it only once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_other_end(key: u64, pair: u64) -> u32 {
    let sk = Sock::of(key);
    let interface = receiving_interface(sk);
    if !matches!(interface, UNKNOWN | LO) || LOCAL.get_ptr(pair ^ namespace(sk)).is_none() {
        return ELSEWHERE;
    }
    if interface == LO { HERE } else { UNDECIDED }
}

/// The network namespace, which both ends of a connection over `lo` share. In a namespace of their own, users can choose the numbers of
/// a connection.
#[inline(always)]
fn namespace(sk: Sock) -> u64 {
    sk.read::<u64>(sweep_offset!(skc_net)).unwrap_or_default()
}

/// The interface on which the peer's segments come in; [`UNKNOWN`] if none was recorded yet. Without the route that the kernel keeps
/// beside it, the number is left over from an earlier connection of the socket.
#[inline(always)]
pub(crate) fn receiving_interface(sk: Sock) -> u32 {
    if sk.load::<u64>(offset!(sk_rx_dst)) == 0 { UNKNOWN } else { sk.load(offset!(sk_rx_dst_ifindex)) }
}

#[inline(always)]
fn has_local_peer(sk: Sock) -> bool {
    match sk.load::<u16>(offset!(skc_family)) {
        AF_INET => has_local_v4_peer(sk),
        AF_INET6 => has_local_v6_peer(sk),
        _ => false,
    }
}

#[inline(always)]
fn has_local_v4_peer(sk: Sock) -> bool {
    let peer = sk.load::<u32>(offset!(skc_daddr));
    is_loopback_v4(peer) || peer == sk.load(offset!(skc_rcv_saddr))
}

#[inline(always)]
fn has_local_v6_peer(sk: Sock) -> bool {
    let word = |field: u32, index: u32| sk.load::<u32>(field + index * 4);
    let address = |field: u32| [word(field, 0), word(field, 1), word(field, 2), word(field, 3)];
    let (peer, own) = (address(offset!(skc_v6_daddr)), address(offset!(skc_v6_rcv_saddr)));
    // Word by word: comparing arrays would call a function that the kernel does not have.
    let is_own = peer[0] == own[0] && peer[1] == own[1] && peer[2] == own[2] && peer[3] == own[3];
    is_own || is_loopback_v6(peer)
}

/// Whether the cached route leaves by a loopback device, as it does for every address of this host.
///
/// A separate function, because it is called in several places; exported, so that the verifier checks it only once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn goes_through_lo(key: u64) -> u32 {
    let route = Sock::of(key).load::<u64>(offset!(sk_dst_cache));
    if route == 0 {
        return 0;
    }
    let Some(device @ 1..) = read_kernel::<u64>(route + u64::from(offset!(dst_dev))) else { return 0 };
    let flags = read_kernel::<u32>(device + u64::from(offset!(dev_flags)));
    flags.is_some_and(|flags| flags & IFF_LOOPBACK != 0).into()
}
