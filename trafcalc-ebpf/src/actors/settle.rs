//! What a hook does where a process sends or reads: remembers that it did, and credits what moved.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::EbpfContext;
use trafcalc_common::actor::{PASSED_ROW, SKIPPED_ROW, filter};
use trafcalc_common::connection::Which;
use trafcalc_common::maps::{OTHER_ROW, Stream};

use crate::accounts;
use crate::actor::{self, Moment};
use crate::actor_maps::{acting, actors_matter};
use crate::credit;
use crate::look;
use crate::loopback;
use crate::maps::{count_loopback, filters, offset};
use crate::owner;
use crate::sock::{Sock, read_kernel};
use crate::table;
use crate::task::Task;

/// The process that runs has sent, or has read from a socket.
#[inline(always)]
pub(crate) fn acts(sk: Sock, which: Which, moment: Moment) {
    let Some(stream) = table::find(sk.key()) else { return };
    if actor::last_row(stream) == SKIPPED_ROW && filters(filter::USERS) {
        return;
    }
    if !actors_matter() {
        // Whoever's it is can be told later, too.
        if !is_undecided(sk)
            && let Some((row, moved)) = look::at(sk, stream, which, |_| Some(credit::remembered_row(sk, stream)))
        {
            accounts::credit(row, moved.sent, moved.received);
        }
        return;
    }
    let row = row(sk, stream, moment);
    let write_seq = sk.load::<u32>(offset!(write_seq));
    // Who has written nothing, as a call that reads or fails, is no writer.
    let is_writing = which == Which::Sent && write_seq != written(stream);
    if is_writing && actor::writer(stream) != actor::last_row(stream) {
        writes_first(sk, stream);
    }
    if let Some((from, moved)) = look::at(sk, stream, which, Some) {
        credit::share(sk, stream, row, from, moved.sent, moved.received);
    }
    if is_writing {
        // SAFETY: `stream` points to a map value. A number that is put down late only changes whose of two actors some bytes are.
        unsafe { write_volatile(&raw mut (*stream).written, write_seq) };
    }
}

/// The number behind the last byte that was seen to be written.
#[inline(always)]
fn written(stream: *mut Stream) -> u32 {
    // SAFETY: `stream` points to a map value.
    unsafe { read_volatile(&raw const (*stream).written) }
}

/// Somebody else has written than before: credits what the last writer sent. What he wrote that TCP has not sent yet stays his.
#[inline(never)]
fn writes_first(sk: Sock, stream: *mut Stream) -> u32 {
    let (writer, written) = (actor::writer(stream), written(stream));
    if writer != OTHER_ROW {
        if let Some((from, moved)) = look::at(sk, stream, Which::SentBefore(written), Some) {
            let row = actor::still(writer, accounts::account_holder(owner::of(sk)));
            credit::share(sk, stream, row, from, moved.sent, 0);
        }
        actor::set_former(stream, writer, written);
    }
    actor::set_writer(stream, actor::last_row(stream));
    0
}

/// Whether no segment has told yet by which interface the peer's come, and it matters.
///
/// The kernel notes it when it takes in a segment while no system call holds the socket, so over a veth pair it may take some
/// segments. An event can leave the connection to the sweep before the next report, or to its end.
#[inline(always)]
fn is_undecided(sk: Sock) -> bool {
    !count_loopback() && loopback::receiving_interface(sk) == 0
}

#[inline(always)]
fn row(sk: Sock, stream: *mut Stream, moment: Moment) -> u32 {
    if actor::is_passed(stream) {
        return PASSED_ROW;
    }
    let uid = if acting() { Task::current().effective_user() } else { None };
    actor::row(sk, stream, accounts::account_holder(uid.unwrap_or_else(|| owner::of(sk))), moment)
}

/// The socket that is the first argument of a traced function.
///
/// To the verifier the argument is a typed pointer, which is no number and so no key. Read from the context it is one.
#[inline(always)]
pub(crate) fn traced_sock(context: &impl EbpfContext) -> Option<Sock> {
    read_kernel::<u64>(context.as_ptr() as u64).map(Sock::of)
}
