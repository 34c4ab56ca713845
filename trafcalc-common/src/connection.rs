//! Decisions about a connection: what a change of its state means, where its two cursors stand, and what a look credits. Pure; a socket
//! is anything that implements [`SocketView`].
//!
//! *Sent* is payload that this host transmitted for the first time: it ends at `snd_nxt`. *Received* is payload that arrived in order:
//! it ends at `rcv_nxt`. A SYN and a FIN take one sequence number each and are not payload. The kernel keeps 64-bit totals beside both
//! numbers (`bytes_acked` grows with `snd_una`, `bytes_received` with `rcv_nxt`: `tcp_snd_una_update` and `tcp_rcv_nxt_update` in
//! `net/ipv4/tcp_input.c`, Linux 4.1 and later).
//!
//! A cursor is a 64-bit *position*: the sequence number at the beginning of the connection plus what has moved since. Its low half is
//! the current sequence number, so positions of two connections differ even where their byte counts are equal.
//!
//! No more is credited than was handed to the network layer. Data that is queued under `TCP_REPAIR` moves `snd_nxt` at once and leaves
//! later, as a retransmission; `bytes_sent` counts what was handed down, so it limits what is credited. It also limits what a connect
//! that failed before its SYN left seems to have sent.
//!
//! The two FINs: `snd_nxt` includes the socket's own FIN if all written data is transmitted and the state is one that comes with a FIN.
//! The state changes before the FIN is queued, so a look reads the state after both numbers. `rcv_nxt` includes the peer's FIN once
//! `SOCK_DONE` is set. A look between the two may credit the FIN, and the end takes that back.

use crate::maps::{Stream, Tally};
use crate::position::nearest;
use crate::tcp::state;

/// The fields of a socket. A field that cannot be read is 0.
pub trait SocketView: Copy {
    /// TCP state, one of [`crate::tcp::state`].
    fn state(self) -> u32;
    /// Number of the oldest byte that is not acknowledged.
    fn snd_una(self) -> u32;
    /// Number of the next byte to be transmitted for the first time.
    fn snd_nxt(self) -> u32;
    /// Number of the next byte that the application will write; past the FIN once that is queued.
    fn write_seq(self) -> u32;
    /// Number of the next byte expected from the peer.
    fn rcv_nxt(self) -> u32;
    /// How far `snd_una` moved since the connection began; on the side that sent the first SYN, that SYN included.
    fn bytes_acked(self) -> u64;
    /// How far `rcv_nxt` moved since the peer's SYN, its FIN included.
    fn bytes_received(self) -> u64;
    /// Payload handed to the network layer, retransmissions included (Linux 4.19 and later).
    fn bytes_sent(self) -> u64;
    /// Whether the peer's FIN has arrived in order (`SOCK_DONE`).
    fn has_peer_fin(self) -> bool;
}

/// A snapshot of a socket, with the fields in the order in which they are read.
///
/// The order matters where another processor changes the socket meanwhile: [`position`] relies on the state being read after `snd_nxt`
/// and `write_seq`, and on `bytes_sent` being read after `snd_nxt`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what the method of this name tells")]
pub struct Numbers {
    pub snd_nxt: u32,
    pub write_seq: u32,
    pub bytes_sent: u64,
    pub state: u32,
    pub snd_una: u32,
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub rcv_nxt: u32,
    pub has_peer_fin: bool,
}

impl SocketView for &Numbers {
    #[inline]
    fn state(self) -> u32 {
        self.state
    }

    #[inline]
    fn snd_una(self) -> u32 {
        self.snd_una
    }

    #[inline]
    fn snd_nxt(self) -> u32 {
        self.snd_nxt
    }

    #[inline]
    fn write_seq(self) -> u32 {
        self.write_seq
    }

    #[inline]
    fn rcv_nxt(self) -> u32 {
        self.rcv_nxt
    }

    #[inline]
    fn bytes_acked(self) -> u64 {
        self.bytes_acked
    }

    #[inline]
    fn bytes_received(self) -> u64 {
        self.bytes_received
    }

    #[inline]
    fn bytes_sent(self) -> u64 {
        self.bytes_sent
    }

    #[inline]
    fn has_peer_fin(self) -> bool {
        self.has_peer_fin
    }
}

/// What a change of state means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This host is about to send the first SYN of a connection.
    Opens,
    /// The handshake is over, or data moves before it is.
    Begins,
    /// The connection is over: nothing can move afterwards.
    Ends,
    /// Nothing that matters.
    Nothing,
}

/// The meaning of a change from state `old` to `new`.
///
/// A child of a listener with fast open may leave `SYN_RECV` for another state than `ESTABLISHED`: before Linux 6.9 its own FIN
/// leads to `FIN_WAIT1`.
#[must_use]
#[inline]
pub const fn change(old: u32, new: u32) -> Change {
    match (old, new) {
        (_, state::SYN_SENT) => Change::Opens,
        (state::LISTEN, state::CLOSE) => Change::Nothing,
        (_, state::CLOSE) => Change::Ends,
        (state::SYN_SENT, state::ESTABLISHED) | (state::SYN_RECV, _) => Change::Begins,
        _ => Change::Nothing,
    }
}

/// The position before the first number that the kernel counts as sent: constant in a connection's life.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "numbers are counted modulo 2^32")]
pub fn sent_base(sk: impl SocketView) -> u32 {
    sk.snd_una().wrapping_sub(sk.bytes_acked() as u32)
}

/// The position before the first number that the kernel counts as received: constant in a connection's life.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "numbers are counted modulo 2^32")]
pub fn received_base(sk: impl SocketView) -> u32 {
    sk.rcv_nxt().wrapping_sub(sk.bytes_received() as u32)
}

/// The stream of a connection that this host opens: the positions of its cursors are not known yet.
pub const OPENING: Stream = Stream {
    sent: Stream::NOWHERE,
    received: Stream::NOWHERE,
    sent_base: 0,
    received_base: 0,
    flags: Stream::OPENING,
    written: 0,
};

/// The stream of a connection that begins, with both cursors before its first byte.
///
/// `opened` says whether this host sent the first SYN. The SYN then has a sequence number, acknowledged or not, unless the connection
/// was restored by `TCP_REPAIR`, which sends none.
#[must_use]
#[inline]
pub fn begun(sk: impl SocketView, opened: bool) -> Stream {
    let (sent_base, received_base) = (sent_base(sk), received_base(sk));
    let has_syn = opened && (sk.bytes_acked() != 0 || sk.snd_nxt() != sk.snd_una());
    Stream {
        sent: u64::from(sent_base) + u64::from(has_syn),
        received: received_base.into(),
        sent_base,
        received_base,
        flags: if has_syn { Stream::SYN_ACKED } else { 0 },
        ..OPENING
    }
}

/// The stream of a connection that is older than the program, with both cursors where they are now.
#[must_use]
#[inline]
pub fn met(sk: impl SocketView) -> Stream {
    let begun = Stream { flags: Stream::LATE, ..begun(sk, false) };
    let Position { sent, received } = position(sk, &begun);
    Stream { sent, received, ..begun }
}

/// Positions of both cursors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// After the last payload byte that was transmitted.
    pub sent: u64,
    /// After the last payload byte that arrived in order.
    pub received: u64,
}

/// Where the cursors of `stream`, which belongs to `sk`, stand now.
///
/// May be called while another processor changes the socket: the position comes from the sequence number, and the total beside it only
/// says how often that has wrapped. `snd_nxt` includes our own FIN only if the state changed before, so the state is read after it.
#[must_use]
#[inline]
pub fn position(sk: impl SocketView, stream: &Stream) -> Position {
    let snd_nxt = sk.snd_nxt();
    let is_all_out = snd_nxt == sk.write_seq();
    let near = u64::from(stream.sent_base).wrapping_add(sk.bytes_acked());
    let limit = most_sent(sk, stream);
    let fin = has_own_fin(sk.state()) && is_all_out;
    Position { sent: sent(near, snd_nxt, fin, limit), received: received(sk, stream) }
}

/// The same, when the socket leaves the state `old` for the last time.
#[must_use]
#[inline]
pub fn last_position(sk: impl SocketView, stream: &Stream, old: u32) -> Position {
    let snd_nxt = sk.snd_nxt();
    let fin = has_own_fin(old) && snd_nxt == sk.write_seq();
    let near = u64::from(stream.sent_base).wrapping_add(sk.bytes_acked());
    Position { sent: sent(near, snd_nxt, fin, most_sent(sk, stream)), received: received(sk, stream) }
}

/// The limit of the sent position. Data that is queued while `TCP_REPAIR` is on moves `snd_nxt` at once and leaves later, as a
/// retransmission. So no more counts as sent than was handed to the network layer. For an adopted stream it is not known whether a
/// SYN's number lies in between.
#[inline]
fn most_sent(sk: impl SocketView, stream: &Stream) -> u64 {
    let may_have_syn = stream.flags & (Stream::SYN_ACKED | Stream::LATE) != 0;
    (u64::from(stream.sent_base) + u64::from(may_have_syn)).wrapping_add(sk.bytes_sent())
}

#[inline]
const fn sent(near: u64, snd_nxt: u32, fin: bool, limit: u64) -> u64 {
    let position = nearest(near, snd_nxt).wrapping_sub(fin as u64);
    // A position may wrap below 0, before the first byte.
    if position.wrapping_sub(limit).cast_signed() > 0 { limit } else { position }
}

/// Computed from the sequence number, because the FIN of a SYN-ACK with data moves only that and not the total
/// (`tcp_fastopen_add_skb`).
#[inline]
fn received(sk: impl SocketView, stream: &Stream) -> u64 {
    let total = sk.bytes_received();
    let end = nearest(u64::from(stream.received_base).wrapping_add(total), sk.rcv_nxt());
    // Where nothing was received there is no FIN: the flag is left over from an earlier connection.
    let fin = end != u64::from(stream.received_base) && sk.has_peer_fin();
    end.wrapping_sub(u64::from(fin))
}

/// What a connection without a stream moved, all in all, when it ends from state `old`: one that never began, or for which there was no
/// room. `has_opened` says whether this host sent the first SYN. Data may have been in the SYN.
#[must_use]
#[inline]
pub fn unbegun(sk: impl SocketView, old: u32, has_opened: bool) -> Tally {
    let start = if has_opened { opened(sk) } else { begun(sk, false) };
    let Position { sent, received } = last_position(sk, &start, old);
    // A connect that failed before its SYN left has transmitted less than that SYN.
    Tally { sent: forward(start.sent, sent), received: forward(start.received, received) }
}

/// The stream of a connection that this host opened, with both cursors before its first byte. The SYN has a number, whether it was
/// acknowledged or not.
#[must_use]
#[inline]
pub fn opened(sk: impl SocketView) -> Stream {
    let begun = begun(sk, false);
    Stream { sent: begun.sent + 1, flags: Stream::SYN_ACKED, ..begun }
}

/// The stream from which the end of a connection is credited: `stream`, unless that belongs to another connection. In that case the
/// beginning of this connection and the end of the other were missed: everything that this one moved is credited, and `has_opened` says
/// whether this host sent the first SYN.
#[must_use]
#[inline]
pub fn at_end(sk: impl SocketView, stream: &Stream, has_opened: impl FnOnce() -> bool) -> Stream {
    let is_opening = stream.flags & Stream::OPENING != 0;
    if !is_opening && is_of(stream, sk) {
        *stream
    } else if is_opening || has_opened() {
        opened(sk)
    } else {
        begun(sk, false)
    }
}

/// Whether a socket in this state has queued a FIN of its own, which takes a sequence number. A reset closes without one.
#[must_use]
#[inline]
pub const fn has_own_fin(state: u32) -> bool {
    matches!(state, state::FIN_WAIT1 | state::FIN_WAIT2 | state::LAST_ACK | state::CLOSING)
}

/// Whether `stream` belongs to the connection that `sk` is now, and not to an earlier user of the same memory.
///
/// A FIN that the total does not count (see [`position`]) shifts the computed beginning by one.
#[must_use]
#[inline]
pub fn is_of(stream: &Stream, sk: impl SocketView) -> bool {
    let ahead = received_base(sk).wrapping_sub(stream.received_base);
    stream.sent_base == sent_base(sk) && (ahead == 0 || (ahead == 1 && sk.has_peer_fin()))
}

/// The key of a connection in the notes of a process that ended: both numbers at which it began. It contains no kernel address.
#[must_use]
#[inline]
pub const fn note_key(sent_base: u32, received_base: u32) -> u64 {
    (sent_base as u64) << 32 | received_base as u64
}

/// Whether the stream that a former process noted belongs to `sk` and can be continued. A socket under `TCP_REPAIR` may have any
/// numbers; one whose position is before the note would subtract what was counted.
#[must_use]
#[inline]
pub fn goes_on(noted: &Stream, sk: impl SocketView) -> bool {
    let Position { sent, received } = position(sk, noted);
    let is_ahead = |cursor: u64, position: u64| position.wrapping_sub(cursor).cast_signed() >= 0;
    is_of(noted, sk) && is_ahead(noted.sent, sent) && is_ahead(noted.received, received)
}

/// Whether the cursors of `stream`, which was read without a lock, can be those of an open connection.
///
/// An end sets `received` to `NOWHERE` before `sent`, so a look may find only `received` invalid. Where a stream is written for the
/// first time, the base may be visible before the cursors, which are 0 until then.
#[must_use]
#[inline]
pub fn has_begun(stream: &Stream) -> bool {
    stream.sent != Stream::NOWHERE
        && stream.received != Stream::NOWHERE
        && stream.sent >= stream.sent_base.into()
        && stream.received >= stream.received_base.into()
}

/// What both ends of a connection know of it: the number of the first payload byte of the opening end, and that of the accepting end.
/// Nobody can choose the latter.
#[must_use]
#[inline]
pub const fn pair(stream: &Stream, opened: bool) -> u64 {
    let (sent, received) = (stream.sent_base.wrapping_add(opened as u32), stream.received_base);
    let (active, passive) = if opened { (sent, received) } else { (received, sent) };
    (active as u64) << 32 | passive as u64
}

/// The distance by which a look moves a cursor, which never goes back.
#[must_use]
#[inline]
pub const fn forward(from: u64, to: u64) -> u64 {
    let moved = to.wrapping_sub(from);
    if moved.cast_signed() < 0 { 0 } else { moved }
}

/// Whether nothing can have moved since the cursors of `stream` were read, judged by two fields of the socket: a look at an idle
/// connection need not read more. If exactly 2^32 bytes moved this is wrong, and a later look or the end corrects it.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are the sequence number")]
pub const fn is_idle(stream: &Stream, snd_nxt: u32, rcv_nxt: u32) -> bool {
    stream.sent as u32 == snd_nxt && stream.received as u32 == rcv_nxt
}

/// Whether `number` comes after `other`, by at most 2 GiB.
#[must_use]
#[inline]
pub const fn is_behind(number: u32, other: u32) -> bool {
    number.wrapping_sub(other).cast_signed() > 0
}

/// Which cursors a look moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Both.
    Both,
    /// What was sent before this number: another process wrote what follows.
    SentBefore(u32),
    /// What was received before this number: another process reads what follows.
    ReceivedBefore(u32),
    /// Everything received, and what was sent before this number: the writer of what follows is known when its call returns.
    WrittenBefore(u32),
}

/// The distances by which a look moves the cursors of a stream that stands at `from` while the connection is at `to`.
#[must_use]
#[inline]
pub const fn moved(from: &Stream, to: &Position, which: Which) -> Tally {
    let (sent, received) = (forward(from.sent, to.sent), forward(from.received, to.received));
    match which {
        Which::Both => Tally { sent, received },
        Which::SentBefore(number) => Tally { sent: sent_before(from, sent, number), received: 0 },
        Which::WrittenBefore(number) => Tally { sent: sent_before(from, sent, number), received },
        Which::ReceivedBefore(number) => {
            Tally { sent: 0, received: ending_before(from.received, received.cast_signed(), number).cast_unsigned() }
        }
    }
}

const fn sent_before(from: &Stream, sent: u64, number: u32) -> u64 {
    ending_before(from.sent, sent.cast_signed(), number).cast_unsigned()
}

/// How much may move before an event of an unchanged actor credits it; until then an event only records how far it came.
const MOST_UNSETTLED_BYTES: u32 = 1 << 24;

/// Whether so much moved between a cursor and `number` that it is due to be credited.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are the sequence number")]
pub const fn is_far(cursor: u64, number: u32) -> bool {
    number.wrapping_sub(cursor as u32) >= MOST_UNSETTLED_BYTES
}

/// How many of the `moved` bytes from position `from` on end before the byte with this `number`; `moved` may be negative.
///
/// The number lies in the last 2 GiB before the end, or after it: a call can move 2 GiB, and some more may have moved before.
#[must_use]
#[inline]
pub const fn ending_before(from: u64, moved: i64, number: u32) -> i64 {
    if moved <= 0 {
        return 0;
    }
    let before = nearest(from.wrapping_add_signed(moved), number).wrapping_sub(from).cast_signed();
    if before < 0 {
        0
    } else if before > moved {
        moved
    } else {
        before
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
#[expect(clippy::cast_possible_truncation, reason = "numbers are counted modulo 2^32")]
mod tests;
