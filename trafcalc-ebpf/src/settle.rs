//! Crediting the distance a stream's cursors moved: the one thing every hook is for.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::read_volatile;

use trafcalc_common::actor::{SKIPPED_ROW, filter};
use trafcalc_common::maps::Stream;
use trafcalc_common::{Numbers, nearest, position};

use crate::actor::{self, Moment};
use crate::atomic::{self, Swap};
use crate::credit;
use crate::maps::{acting, actors_matter, filters, sweeps};
use crate::sock::Sock;
use crate::stream;
use crate::table;
use crate::task::Task;

/// Whom a stream's bytes are credited to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// The owner of the socket at this moment.
    Owner,
    /// The account for others: there was no room to follow the stream, so nobody knows who owned it when.
    Other,
}

/// Credits what was sent since the last look.
#[inline(always)]
pub(crate) fn sent<S: Swap>(sk: Sock) {
    let Some(stream) = table::find(sk.key()) else { return stream::meet_now::<S>(sk) };
    if is_left_out(stream) {
        return;
    }
    let Some(seq) = sk.write_seq() else { return };
    // SAFETY: `stream` points to a map value.
    let moved = unsafe { replace::<S>(&raw mut (*stream).sent, |near| nearest(near, sent_number(stream, seq))) };
    credit_owner::<S>(sk, stream, Moment::Call, moved, 0);
}

/// Credits what was read since the last look.
#[inline(always)]
pub(crate) fn received<S: Swap>(sk: Sock) {
    let Some(stream) = table::find(sk.key()) else { return stream::meet_now::<S>(sk) };
    if is_left_out(stream) {
        return;
    }
    let Some(seq) = sk.copied_seq() else { return };
    if flags(stream) & Stream::CLOSED != 0 && !sk.has_peer() {
        return;
    }
    // SAFETY: `stream` points to a map value.
    let moved =
        unsafe { replace::<S>(&raw mut (*stream).received, |near| nearest(near, received_number(stream, seq))) };
    credit_owner::<S>(sk, stream, Moment::Any, 0, moved);
}

/// Credits both directions to the owner by the kernel's own totals at any time, without a hook.
///
/// Nobody has locked the socket, which may end meanwhile, and its memory and the stream's be those of others: `is_its` tells
/// whether the stream is still this socket's. What is credited is what the numbers were some moment ago. If the stream has
/// been looked at since, or has ended, it is left to the next look: so nothing is ever credited that was read of another
/// socket, nor to one owner what moved under another, as the user is read last. Gives whether somebody else looked at the
/// same time, who may not have seen the last of it.
#[inline(always)]
pub(crate) fn from_outside(sk: Sock, stream: *mut Stream, is_its: impl Fn() -> bool) -> bool {
    // SAFETY: `stream` points to a map value.
    let (sent, received, sent_base, received_base) = unsafe {
        (
            read_volatile(&raw const (*stream).sent),
            read_volatile(&raw const (*stream).received),
            read_volatile(&raw const (*stream).sent_base),
            read_volatile(&raw const (*stream).received_base),
        )
    };
    let is_over = sent == Stream::NOWHERE || received == Stream::NOWHERE;
    if flags(stream) & Stream::IGNORED != 0 || is_over || !is_its() {
        return false;
    }
    let (Some(acked), Some(write_seq)) = (sk.bytes_acked(), sk.write_seq()) else { return false };
    let (Some(total), Some(copied_seq)) = (sk.bytes_received(), sk.copied_seq()) else { return false };
    let received_to = position(received_base, total, received_number(stream, copied_seq));
    // Reads the flags after the numbers: they are set before a FIN, or the end, moves these.
    let flags = flags(stream);
    let sent_to = if flags & Stream::SENT_ENDED == 0 { position(sent_base, acked, write_seq) } else { sent };
    if sent_to == sent && received_to == received {
        return false;
    }
    // One that is closed may lose its peer, and what is unread with it: whoever does that holds it, or it belongs to no
    // application, and the peer is gone when it is done.
    if flags & Stream::CLOSED != 0 && (sk.is_held() || !sk.has_application() || !sk.has_peer()) {
        return false;
    }
    let Some(uid) = sk.uid() else { return false };
    // SAFETY: `stream` points to a map value.
    let (has_sent, has_received) = unsafe {
        (
            atomic::replace(&raw mut (*stream).sent, sent, sent_to),
            atomic::replace(&raw mut (*stream).received, received, received_to),
        )
    };
    let moved = |is_ours: bool, from: u64, to: u64| if is_ours { to.wrapping_sub(from) as i64 } else { 0 };
    credit::to_user(stream, uid, moved(has_sent, sent, sent_to), moved(has_received, received, received_to));
    !has_sent || !has_received
}

/// Credits both directions by the kernel's own totals, which also makes good any number of missed events.
///
/// Must be called with the socket locked, as it is when its state changes. Gives these totals; `None` where there is
/// nothing to credit, or nothing to be known.
#[inline(always)]
pub(crate) fn both<S: Swap>(sk: Sock, stream: *mut Stream, to: To) -> Option<Numbers> {
    let flags = flags(stream);
    if is_left_out(stream) || (flags & Stream::CLOSED != 0 && !sk.has_peer()) {
        return None;
    }
    let numbers = sk.numbers()?;
    // SAFETY: `stream` points to a map value.
    let (sent, received) = unsafe {
        (
            replace::<S>(&raw mut (*stream).sent, |_| {
                let base = read_volatile(&raw const (*stream).sent_base);
                position(base, numbers.bytes_acked, sent_number(stream, numbers.write_seq))
            }),
            replace::<S>(&raw mut (*stream).received, |_| {
                let base = read_volatile(&raw const (*stream).received_base);
                position(base, numbers.bytes_received, received_number(stream, numbers.copied_seq))
            }),
        )
    };
    match to {
        To::Owner => credit_owner::<S>(sk, stream, Moment::Any, sent, received),
        To::Other => credit::to_other(sent, received),
    }
    Some(numbers)
}

#[inline(always)]
fn credit_owner<S: Swap>(sk: Sock, stream: *mut Stream, moment: Moment, sent: i64, received: i64) {
    if sent == 0 && received == 0 {
        return;
    }
    if actors_matter() && actor::is_passed(stream) {
        return;
    }
    let uid = if acting() { Task::current().effective_user() } else { sk.uid() };
    match uid {
        Some(uid) if !actors_matter() => credit::to_user(stream, uid, sent, received),
        Some(uid) => credit::to_row(actor::row::<S>(sk, stream, uid, moment), sent, received),
        None => credit::to_other(sent, received),
    }
}

/// Whether the stream stays within this host, or is of a user who is not wanted. The latter is not looked at again where
/// each event is.
#[inline(always)]
fn is_left_out(stream: *mut Stream) -> bool {
    if flags(stream) & Stream::IGNORED != 0 {
        return true;
    }
    // SAFETY: `stream` points to a map value.
    !sweeps() && filters(filter::USERS) && unsafe { read_volatile(&raw const (*stream).owner) } as u32 == SKIPPED_ROW
}

/// The number up to which bytes sent are payload: the application's last byte comes before the FIN.
///
/// Reads the flags after the caller has read `seq`: they are set before the FIN moves it.
#[inline(always)]
fn sent_number(stream: *mut Stream, seq: u32) -> u32 {
    if flags(stream) & Stream::SENT_ENDED == 0 {
        return seq;
    }
    // SAFETY: `stream` points to a map value.
    unsafe { read_volatile(&raw const (*stream).sent_end) }
}

/// The number up to which bytes received are payload: an application that read to the end also "read" the FIN.
#[inline(always)]
fn received_number(stream: *mut Stream, seq: u32) -> u32 {
    if flags(stream) & Stream::RECEIVED_ENDED == 0 {
        return seq;
    }
    // SAFETY: `stream` points to a map value.
    let fin = unsafe { read_volatile(&raw const (*stream).received_end) };
    if seq == fin.wrapping_add(1) { fin } else { seq }
}

/// The flags as they are now.
#[inline(always)]
pub(crate) fn flags(stream: *mut Stream) -> u32 {
    // SAFETY: `stream` points to a map value.
    unsafe { read_volatile(&raw const (*stream).flags) }
}

/// Moves a cursor to where `target` says, given where it is, and gives the signed distance.
///
/// Two CPUs may do this at once, and the later one may come with the older position. As each credits the distance from
/// what it replaced, the sum is the distance from the first position to the last, whatever the order.
///
/// # Safety
/// `cursor` must point into a map value.
#[inline(always)]
unsafe fn replace<S: Swap>(cursor: *mut u64, target: impl Fn(u64) -> u64) -> i64 {
    // SAFETY: the caller's.
    unsafe {
        let near = read_volatile(cursor);
        let target = target(near);
        if target == near {
            return 0;
        }
        target.wrapping_sub(S::swap(cursor, target)) as i64
    }
}
