//! What a hook does when a process sends or reads: it records the process, and credits what moved.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::EbpfContext;
use trafcalc_common::actor::{SKIPPED_ROW, filter};
use trafcalc_common::connection::{self, Which};
use trafcalc_common::maps::{OTHER_ROW, Stream};

use crate::accounts;
use crate::actor::{self, Moment};
use crate::actor_maps::actors_matter;
use crate::credit;
use crate::look;
use crate::loopback;
use crate::maps::{count_loopback, filters, offset};
use crate::owner;
use crate::sock::{Sock, read_kernel};
use crate::table;

/// What a process does with a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Sends,
    Reads,
}

/// The current process has sent to a socket, or read from it.
///
/// While the same process uses the socket, the stream only records how far it came. The next report, the next actor or the end of the
/// connection credits that.
#[inline(always)]
pub(crate) fn acts(sk: Sock, action: Action, moment: Moment) {
    let Some(stream) = table::find(sk.key()) else { return };
    if actor::last_row(stream) == SKIPPED_ROW && filters(filter::USERS) {
        return;
    }
    if !actors_matter() {
        return looks(sk, stream);
    }
    match action {
        Action::Sends => sends(sk, stream, moment),
        Action::Reads => reads(sk, stream, actor::row(sk, stream, moment)),
    }
}

/// Settles a connection where accounts are told apart by user only. If the loopback check is still undecided, a later look settles it.
#[inline(always)]
fn looks(sk: Sock, stream: *mut Stream) {
    if !is_undecided(sk)
        && let Some((row, moved)) = look::at(sk, stream, Which::Both, |_| Some(credit::remembered_row(sk, stream)))
    {
        accounts::credit(row, moved.sent, moved.received);
    }
}

/// A process has sent. If it has written nothing, it is no actor: its call failed or did something else with the socket, as in a server
/// that hands the socket to another process.
#[inline(always)]
fn sends(sk: Sock, stream: *mut Stream, moment: Moment) {
    let number = sk.load::<u32>(offset!(write_seq));
    if number == written(stream) {
        return;
    }
    let row = actor::row(sk, stream, moment);
    if actor::writer(stream) != actor::last_row(stream) {
        writes_first(sk, stream);
    }
    // SAFETY: `stream` points to a map value. If two actors race here, a late store may give some bytes to the wrong one of the two.
    let cursor = unsafe {
        write_volatile(&raw mut (*stream).written, number);
        read_volatile(&raw const (*stream).sent)
    };
    settle_if_due(sk, stream, row, Action::Sends, cursor, number);
}

/// The last actor has read.
#[inline(always)]
fn reads(sk: Sock, stream: *mut Stream, row: u32) {
    let number = sk.load::<u32>(offset!(rcv_nxt));
    // SAFETY: as above.
    let cursor = unsafe {
        write_volatile(&raw mut (*actor::place(stream)).read, number);
        read_volatile(&raw const (*stream).received)
    };
    settle_if_due(sk, stream, row, Action::Reads, cursor, number);
}

/// Credits what moved, if it is much, or if the stream cannot remember the actor for want of rows.
#[inline(always)]
fn settle_if_due(sk: Sock, stream: *mut Stream, row: u32, action: Action, cursor: u64, number: u32) {
    let row = if actor::last_row(stream) == OTHER_ROW {
        row
    } else if connection::is_far(cursor, number) {
        still(sk, row)
    } else {
        return;
    };
    settle(sk.key(), stream, row, action, number);
}

/// `row`, if it belongs to the socket's user: an event that raced with `fchown` may have recorded a row of the former user.
#[inline(always)]
fn still(sk: Sock, row: u32) -> u32 {
    actor::still(sk, row, accounts::account_holder(owner::of(sk)))
}

/// The sequence number behind the last byte that a send event saw written.
#[inline(always)]
pub(crate) fn written(stream: *mut Stream) -> u32 {
    // SAFETY: `stream` points to a map value.
    unsafe { read_volatile(&raw const (*stream).written) }
}

/// The writer has changed: credits what TCP has sent of the last writer's data, and records it as the former writer, to which the
/// unsent rest belongs.
#[inline(always)]
fn writes_first(sk: Sock, stream: *mut Stream) {
    let (writer, written) = (actor::writer(stream), written(stream));
    if writer != OTHER_ROW {
        settle(sk.key(), stream, still(sk, writer), Action::Sends, written);
        actor::set_former(stream, writer, written);
    }
    actor::set_writer(stream, actor::last_row(stream));
}

/// The actor has changed: credits to the last actor what had arrived when it read.
#[inline(always)]
pub(crate) fn reads_no_more(sk: Sock, stream: *mut Stream) {
    let row = actor::last_row(stream);
    if row != OTHER_ROW {
        // SAFETY: `stream` points to a map value.
        let number = unsafe { read_volatile(&raw const (*actor::place(stream)).read) };
        settle(sk.key(), stream, still(sk, row), Action::Reads, number);
    }
}

/// Credits what moved in one direction before the byte with this sequence number to `row`, except for bytes of the former writer.
///
/// A separate function, because it is called in several places.
#[inline(never)]
fn settle(key: u64, stream: *mut Stream, row: u32, action: Action, number: u32) -> i32 {
    let sk = Sock::of(key);
    let which = match action {
        Action::Sends => Which::SentBefore(number),
        Action::Reads => Which::ReceivedBefore(number),
    };
    if let Some((from, moved)) = look::at(sk, stream, which, Some) {
        credit::share(sk, stream, row, from, moved.sent, moved.received);
    }
    0
}

/// Whether loopback is left out and the interface of the peer's segments is not known yet.
///
/// The kernel records the interface when it processes a segment while no system call owns the socket, so over a veth pair that may take
/// several segments. An event can leave the connection to the sweep before the next report, or to its end.
#[inline(always)]
fn is_undecided(sk: Sock) -> bool {
    !count_loopback() && loopback::receiving_interface(sk) == loopback::UNKNOWN
}

/// The socket that is the first argument of a traced function.
///
/// The verifier sees the argument as a typed pointer, which cannot be used as a number and so not as a key. Read from the context it is
/// a number.
#[inline(always)]
pub(crate) fn traced_sock(context: &impl EbpfContext) -> Option<Sock> {
    read_kernel::<u64>(context.as_ptr() as u64).map(Sock::of)
}
