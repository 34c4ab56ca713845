//! The audit of a connection at its end: what was credited against what the kernel says it moved. Pure.
//!
//! Credited is the way of the stream's cursors from where they started: in between they were moved by events, and each
//! movement was credited. The kernel's totals know nothing of that, nor of the numbers of the two FINs that the stream
//! noted when they came.

use crate::maps::{Stream, Tally};
use crate::position::Numbers;

/// Both sides of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audit {
    /// What was credited.
    pub credited: Tally,
    /// What the application wrote and read, according to the kernel.
    pub kernel: Tally,
}

impl Audit {
    /// Of a stream that was followed from the beginning of its connection, when nobody can use the socket any more;
    /// `has_fin` is whether the kernel has the peer's FIN.
    ///
    /// Of what was acknowledged a SYN and a FIN of our own are no payload, and what was written since is missing; of
    /// what was received the peer's FIN is no payload, and what is unread is too much.
    #[must_use]
    #[inline]
    pub const fn new(stream: &Stream, numbers: &Numbers, has_fin: bool) -> Self {
        let syn = is_set(stream, Stream::SYN_ACKED) as u32;
        let own_fin = is_set(stream, Stream::OWN_FIN) as u64;
        let peers_fin = (has_fin && numbers.copied_seq == numbers.rcv_nxt) as u64;
        Self {
            credited: Tally {
                sent: stream.sent.wrapping_sub(stream.sent_base).wrapping_sub(syn as u64),
                received: stream.received.wrapping_sub(stream.received_base),
            },
            kernel: Tally {
                sent: numbers.sent().wrapping_sub(own_fin).wrapping_sub(numbers.sent_origin(syn)),
                received: numbers.received().wrapping_sub(peers_fin).wrapping_sub(numbers.received_origin()),
            },
        }
    }

    /// Whether both sides say the same.
    #[must_use]
    #[inline]
    pub const fn agrees(&self) -> bool {
        let Self { credited, kernel } = self;
        credited.sent == kernel.sent && credited.received == kernel.received
    }
}

#[inline]
const fn is_set(stream: &Stream, flag: u32) -> bool {
    stream.flags & flag != 0
}

/// What is told of a mismatch, in the order of [`Audit::evidence`]: what was credited, what the kernel says, and what both
/// were made of.
pub const EVIDENCE: [&str; EVIDENCE_WORDS] = [
    "credited_sent",
    "credited_received",
    "kernel_sent",
    "kernel_received",
    "sent",
    "received",
    "sent_base",
    "received_base",
    "sent_end",
    "received_end",
    "flags",
    "write_seq",
    "snd_una",
    "bytes_acked",
    "copied_seq",
    "rcv_nxt",
    "bytes_received",
];

/// Number of words of the evidence.
pub const EVIDENCE_WORDS: usize = 17;

impl Audit {
    /// Everything that a report of a mismatch needs.
    #[must_use]
    #[inline]
    pub const fn evidence(&self, stream: &Stream, numbers: &Numbers) -> [u64; EVIDENCE_WORDS] {
        [
            self.credited.sent,
            self.credited.received,
            self.kernel.sent,
            self.kernel.received,
            stream.sent,
            stream.received,
            stream.sent_base,
            stream.received_base,
            stream.sent_end as u64,
            stream.received_end as u64,
            stream.flags as u64,
            numbers.write_seq as u64,
            numbers.snd_una as u64,
            numbers.bytes_acked,
            numbers.copied_seq as u64,
            numbers.rcv_nxt as u64,
            numbers.bytes_received,
        ]
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
