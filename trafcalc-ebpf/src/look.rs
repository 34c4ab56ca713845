//! A look at an open connection: credits what moved since the last look. The caller need not hold the lock of the socket.
//!
//! The socket may end during the look, and its memory and the stream's may be reused. The end of a stream sets its cursors to `NOWHERE`
//! before either can be reused, and positions of two connections differ. So the compare-and-exchange of a look fails if its numbers are
//! those of another connection. The user is read after the numbers, and `fchown` looks before it changes the user. So bytes that moved
//! under one owner are never credited to the next.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::read_volatile;

use trafcalc_common::connection::{self, Position, Which};
use trafcalc_common::maps::{Stream, Tally};

use crate::atomic;
use crate::credit;
use crate::log;
use crate::loopback::{self, OtherEnd};
use crate::maps::offset;
use crate::sock::Sock;
use crate::table;

/// What this look and no other credits: signed, as accounts take it.
#[derive(Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) sent: i64,
    pub(crate) received: i64,
}

/// Reads a stream whose socket is locked.
#[inline(always)]
pub(crate) fn read(stream: *mut Stream) -> Stream {
    // SAFETY: `stream` points to a map value.
    let (received, sent) =
        unsafe { (read_volatile(&raw const (*stream).received), read_volatile(&raw const (*stream).sent)) };
    read_rest(received, sent, stream)
}

/// Reads a stream that another processor may end or write meanwhile.
///
/// `sent` is read at an address that depends on `received`, and the rest at an address that depends on `sent`. A `received` that
/// already belongs to another connection was written after the end set `sent` to `NOWHERE`. `sent` is written last, so a look that
/// reads it also reads the rest. So the rest is never older than a cursor, and the exchange fails for a cursor that is older than the
/// rest.
#[inline(always)]
fn read_unlocked(stream: *mut Stream) -> Stream {
    // SAFETY: `stream` points to a map value.
    unsafe {
        let received = read_volatile(&raw const (*stream).received);
        let stream = atomic::behind(received, stream);
        let sent = read_volatile(&raw const (*stream).sent);
        read_rest(received, sent, atomic::behind(sent, stream))
    }
}

#[inline(always)]
fn read_rest(received: u64, sent: u64, stream: *mut Stream) -> Stream {
    // SAFETY: `stream` points to a map value.
    unsafe {
        Stream {
            sent,
            received,
            sent_base: read_volatile(&raw const (*stream).sent_base),
            received_base: read_volatile(&raw const (*stream).received_base),
            flags: read_volatile(&raw const (*stream).flags),
            ..trafcalc_common::connection::OPENING
        }
    }
}

/// Looks at the connection of `key`, if it has a stream. Exported, so that the verifier checks it only once.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn look(key: u64, is_last: u32) -> i32 {
    if let Some(stream) = table::find(key) {
        credit::look(Sock::of(key), stream, is_last != 0);
    }
    0
}

/// Looks at `sk`, to which `stream` may belong, and moves its cursors. Returns what moved, with what `owner` returns. `owner` is called
/// only if something moved, with the position from which sent bytes moved; if it returns `None`, nothing is credited.
#[inline(always)]
pub(crate) fn at<T>(
    sk: Sock,
    stream: *mut Stream,
    which: Which,
    owner: impl FnOnce(u64) -> Option<T>,
) -> Option<(T, Moved)> {
    let before = read_unlocked(stream);
    if !connection::has_begun(&before) {
        return None;
    }
    if matches!(which, Which::Both | Which::WrittenBefore(_))
        && connection::is_idle(&before, sk.load(offset!(snd_nxt)), sk.load(offset!(rcv_nxt)))
    {
        return None;
    }
    let numbers = sk.numbers();
    if !connection::is_of(&before, &numbers) {
        return None;
    }
    let to = connection::position(&numbers, &before);
    let Tally { sent, received } = connection::moved(&before, &to, which);
    if sent == 0 && received == 0 {
        return None;
    }
    if before.flags & Stream::SYN_ACKED != 0 {
        match loopback::other_end(sk, &before, true) {
            OtherEnd::Elsewhere => {}
            OtherEnd::Undecided => return None,
            OtherEnd::Here => {
                // SAFETY: `stream` points to a map value. The end of the connection finds the same, and credits nothing.
                unsafe { atomic::replace(&raw mut (*stream).sent, before.sent, Stream::NOWHERE) };
                return None;
            }
        }
    }
    let owner = owner(before.sent)?;
    log::moves(
        sk,
        &Position { sent: before.sent, received: before.received },
        &Position { sent: before.sent + sent, received: before.received + received },
    );
    // SAFETY: `stream` points to a map value.
    let (has_sent, has_received) = unsafe {
        (
            sent == 0 || atomic::replace(&raw mut (*stream).sent, before.sent, before.sent + sent),
            received == 0 || atomic::replace(&raw mut (*stream).received, before.received, before.received + received),
        )
    };
    let ours = |has: bool, bytes: u64| if has { bytes as i64 } else { 0 };
    let moved = Moved { sent: ours(has_sent, sent), received: ours(has_received, received) };
    Some((owner, moved))
}
