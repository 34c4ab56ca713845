//! The audit of a connection at its end: whether its stream agrees with what the kernel says. Pure.
//!
//! What is credited at the end comes from the kernel's totals, so these cannot contradict it. They can contradict the stream: the
//! sequence numbers at which the connection began never change, and what was credited before cannot be more than what moved. The audit
//! finds a missed beginning or end, a field read from a wrong offset and a missed wrap. It does not find bytes booked to a wrong owner.

use crate::connection::{Position, SocketView, is_of};
use crate::maps::Stream;

/// A look may come between the arrival of the peer's FIN and the flag that reports it, and credit the FIN. The end takes that byte
/// back.
const MOST_BACK: u64 = 1;

/// Whether `stream`, as it was before the end, can be that of `sk`, whose cursors end at `last`.
#[must_use]
#[inline]
pub fn agrees(stream: &Stream, sk: impl SocketView, last: &Position) -> bool {
    let is_within = |from: u64, to: u64| to.wrapping_add(MOST_BACK).wrapping_sub(from).cast_signed() >= 0;
    is_of(stream, sk) && is_within(stream.sent, last.sent) && is_within(stream.received, last.received)
}

/// The names of the words of [`evidence`], in order.
pub const EVIDENCE: [&str; EVIDENCE_WORDS] = [
    "credited_sent",
    "credited_received",
    "sent_base",
    "received_base",
    "flags",
    "snd_una",
    "snd_nxt",
    "write_seq",
    "bytes_acked",
    "bytes_sent",
    "rcv_nxt",
    "bytes_received",
    "has_peer_fin",
    "state",
];

/// Number of words of the evidence.
pub const EVIDENCE_WORDS: usize = 14;

/// All fields that a report of a mismatch needs.
#[must_use]
#[inline]
pub fn evidence(stream: &Stream, sk: impl SocketView) -> [u64; EVIDENCE_WORDS] {
    [
        stream.sent,
        stream.received,
        stream.sent_base.into(),
        stream.received_base.into(),
        stream.flags.into(),
        sk.snd_una().into(),
        sk.snd_nxt().into(),
        sk.write_seq().into(),
        sk.bytes_acked(),
        sk.bytes_sent(),
        sk.rcv_nxt().into(),
        sk.bytes_received(),
        sk.has_peer_fin().into(),
        sk.state().into(),
    ]
}
