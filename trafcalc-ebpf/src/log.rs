//! Messages about single connections, for finding out why a count is what it is: each beginning and end at level `debug`, each look
//! that moves a cursor at `trace`.
//!
//! The loader sets the level as a constant. At a lower level the verifier removes all of this code.
#![expect(unsafe_code, reason = "functions are exported")]

use core::hint::black_box;

use aya_log_ebpf::macro_support::{Level, level_enabled};
use aya_log_ebpf::{debug, trace};
use trafcalc_common::connection::Position;
use trafcalc_common::maps::Stream;

use crate::loopback::AF_INET6;
use crate::maps::offset;
use crate::sock::Sock;

/// The target of all messages, as a filter names it.
const TARGET: &str = "trafcalc_ebpf";

/// Bits that a state takes.
const STATE_BITS: u32 = 8;

/// A connection begins from state `old`, or was adopted.
#[inline(always)]
pub(crate) fn begins(sk: Sock, old: u32, stream: &Stream) {
    if level_enabled(Level::Debug) {
        tell_beginning(sk.key(), old, stream.sent, stream.received, stream.flags);
    }
}

/// A connection ends from state `old`. Its cursors move from `from` to `to`.
#[inline(always)]
pub(crate) fn ends(sk: Sock, old: u32, from: &Position, to: &Position) {
    if level_enabled(Level::Debug) {
        let (sent, received) = (to.sent.wrapping_sub(from.sent), to.received.wrapping_sub(from.received));
        tell_end(sk.key(), to.sent, to.received, sent << STATE_BITS | u64::from(old), received as i64);
    }
}

/// The cursors of a connection move from `from` to `to`.
#[inline(always)]
pub(crate) fn moves(sk: Sock, from: &Position, to: &Position) {
    if level_enabled(Level::Trace) {
        let (sent, received) = (to.sent.wrapping_sub(from.sent), to.received.wrapping_sub(from.received));
        tell_move(sk.key(), to.sent, to.received, sent as i64, received as i64);
    }
}

/// Exported like the functions below, so that the verifier checks each only once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tell_beginning(key: u64, old: u32, sent: u64, received: u64, flags: u32) -> i32 {
    let sk = Sock::of(key);
    debug!(
        (),
        target: TARGET,
        "begins socket={:x} local={:i} port={} remote={:i} port={} uid={} state={} sent={} received={} flags={}",
        key,
        local(sk),
        local_port(sk),
        remote(sk),
        remote_port(sk),
        sk.uid(),
        old,
        sent,
        received,
        flags
    );
    0
}

/// A function takes five arguments at most, so one of them holds the state in its lowest bits and the sent bytes above.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tell_end(key: u64, sent: u64, received: u64, credited_and_state: u64, credited: i64) -> i32 {
    let sk = Sock::of(key);
    debug!(
        (),
        target: TARGET,
        "ends socket={:x} local={:i} port={} remote={:i} port={} uid={} state={} sent={} received={} credited={} credited={}",
        key,
        local(sk),
        local_port(sk),
        remote(sk),
        remote_port(sk),
        sk.uid(),
        credited_and_state & ((1 << STATE_BITS) - 1),
        sent,
        received,
        credited_and_state as i64 >> STATE_BITS,
        credited
    );
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tell_move(key: u64, sent: u64, received: u64, credited_sent: i64, credited_received: i64) -> i32 {
    trace!(
        (),
        target: TARGET,
        "looks socket={:x} uid={} sent={} received={} credited={} credited={}",
        key,
        Sock::of(key).uid(),
        sent,
        received,
        credited_sent,
        credited_received
    );
    0
}

#[inline(always)]
fn local_port(sk: Sock) -> u16 {
    u16::from_be(sk.load(offset!(inet_sport)))
}

#[inline(always)]
fn remote_port(sk: Sock) -> u16 {
    u16::from_be(sk.load(offset!(skc_dport)))
}

#[inline(always)]
fn local(sk: Sock) -> [u8; 16] {
    address(sk, offset!(skc_rcv_saddr), offset!(skc_v6_rcv_saddr))
}

#[inline(always)]
fn remote(sk: Sock) -> [u8; 16] {
    address(sk, offset!(skc_daddr), offset!(skc_v6_daddr))
}

/// One of the socket's addresses, IPv4 as IPv4-mapped IPv6. Without a branch, because the verifier would check all that follows once
/// for each outcome.
#[inline(always)]
fn address(sk: Sock, v4: u32, v6: u32) -> [u8; 16] {
    let other_family = u32::from(black_box(sk.load::<u16>(offset!(skc_family)) ^ AF_INET6));
    let is_v6 = (other_family.wrapping_sub(1) >> 31).wrapping_neg();
    let word = |index: u32, of_v4: u32| (sk.load::<u32>(v6 + index * 4) & is_v6 | of_v4 & !is_v6).to_ne_bytes();
    let mapped = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
    let ([a, b, c, d], [e, f, g, h]) = (word(0, 0), word(1, 0));
    let ([i, j, k, l], [m, n, o, p]) = (word(2, mapped), word(3, sk.load(v4)));
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}
