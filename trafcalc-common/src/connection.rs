//! The decisions about a connection: what a change of its state means, where its two cursors stand, and what a look
//! credits. Pure; a socket is anything that implements [`SocketView`].
//!
//! *Sent* is payload that this host transmitted for the first time: it ends at `snd_nxt`. *Received* is payload that
//! arrived in order: it ends at `rcv_nxt`. A SYN and a FIN take a number each and are not payload. The kernel keeps
//! 64-bit totals beside both numbers (`bytes_acked` grows with `snd_una`, `bytes_received` with `rcv_nxt`:
//! `tcp_snd_una_update` and `tcp_rcv_nxt_update` in `net/ipv4/tcp_input.c`, Linux 4.1 and later).
//!
//! A cursor is kept as a 64-bit *position*: its low half is the sequence number at the beginning of the connection plus
//! what was passed since, so that positions of two connections differ even where their byte counts are the same.
//!
//! No more is credited than was handed to the network layer. Data that is queued under `TCP_REPAIR` moves `snd_nxt` at once and
//! leaves later, as a retransmission; `bytes_sent` counts what was handed down, so it bounds what is credited. It also bounds what
//! a connect that failed before its SYN left seems to have sent.
//!
//! The two FINs: a socket's own FIN is behind `snd_nxt` if all that was written is, and the state is one that comes with a FIN. The
//! state changes before the FIN is queued, so a look reads it last. The peer's FIN is in `rcv_nxt` once `SOCK_DONE` is set. A look
//! in between may credit it, and the end takes that back.

use crate::maps::{Stream, Tally};
use crate::position::nearest;
use crate::tcp::state;

/// What the kernel says of a socket at this moment. A field that cannot be read is 0.
pub trait SocketView: Copy {
    /// TCP state, one of [`crate::tcp::state`].
    fn state(self) -> u32;
    /// Number of the oldest byte that is not acknowledged.
    fn snd_una(self) -> u32;
    /// Number of the next byte to be transmitted for the first time.
    fn snd_nxt(self) -> u32;
    /// Number of the next byte that the application will write; behind a FIN once that is queued.
    fn write_seq(self) -> u32;
    /// Number of the next byte expected from the peer.
    fn rcv_nxt(self) -> u32;
    /// How far `snd_una` moved since the connection began; on the side that sent the first SYN, that SYN included.
    fn bytes_acked(self) -> u64;
    /// How far `rcv_nxt` moved since the peer's SYN; its FIN included.
    fn bytes_received(self) -> u64;
    /// Payload handed to the network layer, retransmissions included (Linux 4.19 and later).
    fn bytes_sent(self) -> u64;
    /// Whether the peer's FIN has arrived in order (`SOCK_DONE`).
    fn has_peer_fin(self) -> bool;
}

/// A socket as it was read at one moment, in the order of the fields.
///
/// The order matters where another processor changes the socket meanwhile: [`position`] relies on the state being read after
/// `snd_nxt` and `write_seq`, and on `bytes_sent` after `snd_nxt`.
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

/// What it means that a socket goes from state `old` to `new`.
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

/// The stream of a socket that sends the first SYN of a connection: where its cursors stand is not known yet.
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
/// `opened` tells whether this host sent the first SYN. That then has a number, acknowledged or not, unless the connection was
/// restored by `TCP_REPAIR`, which sends none.
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
    /// Behind the last payload byte that was transmitted.
    pub sent: u64,
    /// Behind the last payload byte that arrived in order.
    pub received: u64,
}

/// Where the cursors of `stream`, which is that of `sk`, stand now.
///
/// May be called while another processor changes the socket: the position comes from the sequence number, and the total beside it only
/// says how often that went round. Our own FIN is behind `snd_nxt` only if the state said so before, which is why the state is
/// read last.
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

/// The same when the socket leaves the state `old` for the last time.
#[must_use]
#[inline]
pub fn last_position(sk: impl SocketView, stream: &Stream, old: u32) -> Position {
    let snd_nxt = sk.snd_nxt();
    let fin = has_own_fin(old) && snd_nxt == sk.write_seq();
    let near = u64::from(stream.sent_base).wrapping_add(sk.bytes_acked());
    Position { sent: sent(near, snd_nxt, fin, most_sent(sk, stream)), received: received(sk, stream) }
}

/// What is queued while `TCP_REPAIR` is on moves `snd_nxt` at once and leaves later, as a retransmission. So no more counts as
/// sent than was handed to the network layer. Of a late stream it is not known whether a SYN has a number in between.
#[inline]
fn most_sent(sk: impl SocketView, stream: &Stream) -> u64 {
    let may_have_syn = stream.flags & (Stream::SYN_ACKED | Stream::LATE) != 0;
    (u64::from(stream.sent_base) + u64::from(may_have_syn)).wrapping_add(sk.bytes_sent())
}

#[inline]
const fn sent(near: u64, snd_nxt: u32, fin: bool, limit: u64) -> u64 {
    let position = nearest(near, snd_nxt).wrapping_sub(fin as u64);
    // Around 0 a position may be behind it, before the first byte.
    if position.wrapping_sub(limit).cast_signed() > 0 { limit } else { position }
}

/// By the number, as the FIN of a SYN-ACK with data moves only that and not the total (`tcp_fastopen_add_skb`).
#[inline]
fn received(sk: impl SocketView, stream: &Stream) -> u64 {
    let total = sk.bytes_received();
    let end = nearest(u64::from(stream.received_base).wrapping_add(total), sk.rcv_nxt());
    // Where nothing was received there is no FIN: the flag is of another life.
    let fin = end != u64::from(stream.received_base) && sk.has_peer_fin();
    end.wrapping_sub(u64::from(fin))
}

/// What a connection moved that ends from `old` before it began: of which this host sent a SYN (`has_opened`), or which came
/// to a listener with fast open. Data may have been in the SYN.
#[must_use]
#[inline]
pub fn unbegun(sk: impl SocketView, old: u32, has_opened: bool) -> Tally {
    let start = if has_opened { opened(sk) } else { begun(sk, false) };
    let Position { sent, received } = last_position(sk, &start, old);
    // A connect that failed before its SYN left has transmitted less than that SYN.
    Tally { sent: forward(start.sent, sent), received: forward(start.received, received) }
}

/// The stream of a connection that this host opened and that ends before its handshake is over, with both cursors before its first
/// byte. Whether its SYN was acknowledged does not matter: it has a number.
#[must_use]
#[inline]
pub fn opened(sk: impl SocketView) -> Stream {
    let begun = begun(sk, false);
    Stream { sent: begun.sent + 1, flags: Stream::SYN_ACKED, ..begun }
}

/// The stream that tells where a connection that ends was: `stream`, unless that is of another. Then its beginning was missed, and
/// the end of the other: all that it moved is left, and `has_opened` says whether this host sent the first SYN.
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

/// Whether a socket gets into this state with a FIN of its own, which takes a number. One that is reset closes without.
#[must_use]
#[inline]
pub const fn has_own_fin(state: u32) -> bool {
    matches!(state, state::FIN_WAIT1 | state::FIN_WAIT2 | state::LAST_ACK | state::CLOSING)
}

/// Whether `stream` is of the connection that `sk` is now, and not of an earlier life of this piece of memory.
///
/// A FIN that the total does not count (see [`position`]) moves what the kernel says of the beginning by its number.
#[must_use]
#[inline]
pub fn is_of(stream: &Stream, sk: impl SocketView) -> bool {
    let ahead = received_base(sk).wrapping_sub(stream.received_base);
    stream.sent_base == sent_base(sk) && (ahead == 0 || (ahead == 1 && sk.has_peer_fin()))
}

/// What a connection is known by in notes of where it stood when a process ended: both numbers it began with. Nothing of the
/// kernel's memory is in it.
#[must_use]
#[inline]
pub const fn note_key(sent_base: u32, received_base: u32) -> u64 {
    (sent_base as u64) << 32 | received_base as u64
}

/// Whether the stream that a former process noted is that of `sk`, and what it counts goes on from there. A socket under
/// `TCP_REPAIR` may have any numbers; one that is behind the note would take away what was counted.
#[must_use]
#[inline]
pub fn goes_on(noted: &Stream, sk: impl SocketView) -> bool {
    let Position { sent, received } = position(sk, noted);
    let is_ahead = |cursor: u64, position: u64| position.wrapping_sub(cursor).cast_signed() >= 0;
    is_of(noted, sk) && is_ahead(noted.sent, sent) && is_ahead(noted.received, received)
}

/// Whether the cursors of `stream`, which was read without a lock, stand where those of a connection can.
///
/// An end puts `received` nowhere before `sent`, so that a look may find only that there. And where a stream is written for the
/// first time, the base may be there before the cursors, which are 0 until then.
#[must_use]
#[inline]
pub fn has_begun(stream: &Stream) -> bool {
    stream.sent != Stream::NOWHERE
        && stream.received != Stream::NOWHERE
        && stream.sent >= stream.sent_base.into()
        && stream.received >= stream.received_base.into()
}

/// What both ends of a connection know of it: the numbers of the first payload byte of who opened it and of who accepted it. Nobody
/// can choose the latter.
#[must_use]
#[inline]
pub const fn pair(stream: &Stream, opened: bool) -> u64 {
    let (sent, received) = (stream.sent_base.wrapping_add(opened as u32), stream.received_base);
    let (active, passive) = if opened { (sent, received) } else { (received, sent) };
    (active as u64) << 32 | passive as u64
}

/// The distance a cursor moves by a look in between: it never goes back.
#[must_use]
#[inline]
pub const fn forward(from: u64, to: u64) -> u64 {
    let moved = to.wrapping_sub(from);
    if moved.cast_signed() < 0 { 0 } else { moved }
}

/// Whether nothing can have moved since a stream's cursors stood at `stream`, by two numbers of the socket alone: a look at an
/// idle connection need not read more. Where exactly 2^32 bytes moved it errs, and a later look or the end makes that good.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are the sequence number")]
pub const fn is_idle(stream: &Stream, snd_nxt: u32, rcv_nxt: u32) -> bool {
    stream.sent as u32 == snd_nxt && stream.received as u32 == rcv_nxt
}

/// Whether `number` is behind `other`, at most 2 GiB.
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
    /// What was sent up to the byte before this number: another process wrote what comes behind.
    SentBefore(u32),
    /// What was received up to the byte before this number: another process reads what comes behind.
    ReceivedBefore(u32),
    /// What was received, and what was sent up to the byte before this number: who sends the next is known when he is done.
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

/// What may move before an event of the actor who acted last credits it; until then an event only notes how far it came.
const MOST_UNSETTLED_BYTES: u32 = 1 << 24;

/// Whether so much moved between a cursor and `number` that it is to be credited now.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are the sequence number")]
pub const fn is_far(cursor: u64, number: u32) -> bool {
    number.wrapping_sub(cursor as u32) >= MOST_UNSETTLED_BYTES
}

/// How many of the `moved` bytes from position `from` on, which may be fewer than none, end before the byte with this `number`.
///
/// The number is one of the last 2 GiB before the end, or behind it: a call can move 2 GiB, and some more may have moved before.
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
