//! What is told to somebody who looks for the reason of a count: each beginning and end of a connection at level `debug`, each
//! look that moves a cursor at `trace`.
//!
//! The level is a constant that the loader sets. Where it is lower the verifier removes all of this.

use aya_log_ebpf::macro_support::{Level, level_enabled};
use aya_log_ebpf::{debug, trace};
use trafcalc_common::connection::Position;
use trafcalc_common::maps::Stream;

use crate::loopback::AF_INET6;
use crate::maps::offset;
use crate::sock::Sock;

/// The target of all messages, as a filter names it.
const TARGET: &str = "trafcalc_ebpf";

/// A connection begins in state `old`, or is older than the program.
#[inline(always)]
pub(crate) fn begins(sk: Sock, old: u32, stream: &Stream) {
    if level_enabled(Level::Debug) {
        // Copies, as here and below: what is passed on by reference would live in memory, also where nothing is told.
        let stream = *stream;
        tell_beginning(sk, old, &stream);
    }
}

/// A connection is over that was in state `old` and whose cursors go from `from` to `to`.
#[inline(always)]
pub(crate) fn ends(sk: Sock, old: u32, from: &Position, to: &Position) {
    if level_enabled(Level::Debug) {
        let (from, to) = (*from, *to);
        tell_end(sk, old, &from, &to);
    }
}

/// The cursors of a connection go from `from` to `to`.
#[inline(always)]
pub(crate) fn moves(sk: Sock, from: &Position, to: &Position) {
    if level_enabled(Level::Trace) {
        let (from, to) = (*from, *to);
        tell_move(sk, &from, &to);
    }
}

#[inline(never)]
fn tell_beginning(sk: Sock, old: u32, stream: &Stream) -> i32 {
    let (local, remote) = (local(sk), remote(sk));
    debug!(
        (),
        target: TARGET,
        "begins socket={:x} local={:i} port={} remote={:i} port={} uid={} state={} sent={} received={} flags={}",
        sk.key(),
        local,
        u16::from_be(sk.load(offset!(inet_sport))),
        remote,
        u16::from_be(sk.load(offset!(skc_dport))),
        sk.uid(),
        old,
        stream.sent,
        stream.received,
        stream.flags
    );
    0
}

#[inline(never)]
fn tell_end(sk: Sock, old: u32, from: &Position, to: &Position) -> i32 {
    let (local, remote) = (local(sk), remote(sk));
    debug!(
        (),
        target: TARGET,
        "ends socket={:x} local={:i} port={} remote={:i} port={} uid={} state={} sent={} received={} credited={} credited={}",
        sk.key(),
        local,
        u16::from_be(sk.load(offset!(inet_sport))),
        remote,
        u16::from_be(sk.load(offset!(skc_dport))),
        sk.uid(),
        old,
        to.sent,
        to.received,
        to.sent.wrapping_sub(from.sent) as i64,
        to.received.wrapping_sub(from.received) as i64
    );
    0
}

#[inline(never)]
fn tell_move(sk: Sock, from: &Position, to: &Position) -> i32 {
    trace!(
        (),
        target: TARGET,
        "looks socket={:x} uid={} sent={} received={} credited={} credited={}",
        sk.key(),
        sk.uid(),
        to.sent,
        to.received,
        to.sent.wrapping_sub(from.sent) as i64,
        to.received.wrapping_sub(from.received) as i64
    );
    0
}

#[inline(always)]
fn local(sk: Sock) -> [u8; 16] {
    address(sk, offset!(skc_rcv_saddr), offset!(skc_v6_rcv_saddr))
}

#[inline(always)]
fn remote(sk: Sock) -> [u8; 16] {
    address(sk, offset!(skc_daddr), offset!(skc_v6_daddr))
}

/// One of its addresses; of IPv4 as IPv6 maps it.
#[inline(always)]
fn address(sk: Sock, v4: u32, v6: u32) -> [u8; 16] {
    let word = |index: u32| sk.load::<u32>(v6 + index * 4).to_ne_bytes();
    let ([a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]) = if sk.load::<u16>(offset!(skc_family)) == AF_INET6 {
        (word(0), word(1), word(2), word(3))
    } else {
        ([0; 4], [0; 4], [0, 0, 0xff, 0xff], sk.load::<u32>(v4).to_ne_bytes())
    };
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}
