//! One connection, seen in the packets that this host sends: two cursors, an owner, an end. Pure; time is passed in.

use std::sync::Arc;

use trafcalc_common::{Cursor, distance};

use super::audits::Audit;
use super::claims::Doubt;
use super::notes::FormerFins;
use super::segment::Segment;
use crate::capture::{Bytes, Owner};

/// A segment this far before a cursor is no retransmission: send buffers are smaller.
const FARTHEST_BACK: i32 = 1 << 28;
/// A segment this far after a cursor is of another connection: anchors show the cursor every 256 MiB.
const FARTHEST_AHEAD: i32 = 1 << 30;

/// Who owns a connection's bytes, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Not known yet: the bytes wait here.
    Pending(Pending),
    /// The user with this id; the bytes wait here until more is known.
    Searching(u32, Bytes),
    /// The user with this id.
    User(u32),
    /// An owner with more than the user. All its connections share it.
    Fine(Arc<Owner>),
    /// Found too late or not at all; the bytes are unattributed.
    Nobody,
    /// The table was full: counted, but not asked about.
    Overflow,
    /// Forwarded or bridged, not of this host. Its bytes are not counted.
    Foreign,
    /// Its owner is not to be counted.
    Unwanted,
    /// It is unknown whether its owner is to be counted. Its bytes are only reported in health.
    Undecided(Bytes),
}

/// Bytes that wait for their owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// How many.
    pub bytes: Bytes,
    /// The user of the socket that listens on the local port, as far as is known.
    pub listener: Option<u32>,
    /// When its own socket was found unable to name an owner any more, in milliseconds since the start.
    pub orphaned_ms: Option<u64>,
}

/// How a connection came into view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This host opened it: its SYN was seen.
    Active,
    /// The peer opened it: this host's SYN-ACK was seen.
    Passive,
    /// It was already open.
    Midstream,
}

/// One connection.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one connection")]
pub struct Flow {
    /// Sequence number of the first segment seen, which distinguishes this connection from earlier ones between the same endpoints.
    pub birth: u32,
    /// How it came into view.
    pub origin: Origin,
    /// Its owner.
    pub holder: Holder,
    /// The class of the network that the peer is in.
    pub class: Option<Arc<str>>,
    /// Index of the interface of the first segment.
    pub interface: u32,
    /// When the last segment passed, in milliseconds since the start.
    pub seen_ms: u64,
    /// When its socket was last asked about, in milliseconds since the start.
    pub asked_ms: u64,
    /// A finding about it came in.
    pub answered: bool,
    /// The same SYN came in a moment before it left: forwarded with a translated address.
    pub relayed: bool,
    /// Only SYNs have been seen.
    pub embryonic: bool,
    /// The peer sent an RST. Anybody can forge that.
    pub reset: bool,
    /// This host sent an RST.
    pub aborted: bool,
    /// The table was full: whatever the owner, its bytes go to `(other)`.
    pub overflow: bool,
    /// The kernel no longer knows the connection.
    pub gone: bool,
    /// When the first segment seen passed, in nanoseconds of the wall clock.
    pub born_ns: u64,
    /// What it moved since it came into view.
    pub(super) moved: Bytes,
    /// It came into view in mid-stream after the capture lost anchors.
    pub lost_its_beginning: bool,
    /// It was already counted as a gap.
    pub is_gap: bool,
    /// What it had moved, in both directions, when its last audit began.
    pub(super) audited_bytes: u64,
    /// The kernel's totals.
    pub(super) audit: Option<Box<Audit>>,
    pub(super) sent: Option<Cursor>,
    pub(super) received: Option<Cursor>,
    /// FINs before the kernel was asked.
    pub(super) former_fins: FormerFins,
    /// It continues from a note that no segment has confirmed yet; the kernel was asked at this time of the wall clock.
    pub(super) unconfirmed_ns: Option<u64>,
    /// Its position was noted.
    pub(super) is_noted: bool,
    /// The number of the peer's SYN, by the peer's claim.
    pub(super) peer_isn: Option<u32>,
    /// The number of the peer's FIN, by the peer's claim, if it is known before the first acknowledgement.
    early_fin: Option<u32>,
    /// This host's SYN had data.
    pub(super) opened_with_data: bool,
    /// The peer's first byte is in doubt.
    pub(super) doubt: Option<Doubt>,
    /// Two packets from the network disagree about where the peer's bytes begin or end.
    disputed: bool,
    /// The first segment seen was empty: it may be a keep-alive, which is one byte before the cursor.
    maybe_keepalive: bool,
}

impl Flow {
    /// A connection whose first seen segment is `first`, sent by this host, which is not settled yet.
    #[must_use]
    pub fn new(first: &Segment, now_ms: u64) -> Self {
        let origin = match (first.syn, first.ack) {
            (true, None) => Origin::Active,
            (true, Some(_)) => Origin::Passive,
            (false, _) => Origin::Midstream,
        };
        let mut flow = Self { embryonic: first.syn, ..Self::unseen(origin, now_ms) };
        flow.begin(first);
        flow
    }

    /// A connection that was open before the start and has this holder. Its socket is bound to `interface`, or to none if 0. None of its
    /// segments was seen yet.
    #[must_use]
    pub fn adopted(holder: Holder, interface: u32) -> Self {
        Self { holder, interface, ..Self::unseen(Origin::Midstream, 0) }
    }

    fn unseen(origin: Origin, now_ms: u64) -> Self {
        Self {
            birth: 0,
            origin,
            holder: Holder::Pending(Pending::default()),
            class: None,
            interface: 0,
            seen_ms: now_ms,
            asked_ms: now_ms,
            answered: false,
            relayed: false,
            embryonic: false,
            reset: false,
            aborted: false,
            overflow: false,
            gone: false,
            born_ns: 0,
            moved: Bytes::default(),
            lost_its_beginning: false,
            is_gap: false,
            audited_bytes: 0,
            audit: None,
            sent: None,
            received: None,
            former_fins: FormerFins::default(),
            unconfirmed_ns: None,
            is_noted: false,
            peer_isn: None,
            early_fin: None,
            opened_with_data: false,
            doubt: None,
            disputed: false,
            maybe_keepalive: false,
        }
    }

    /// The first segment that this host sends sets where its bytes begin.
    fn begin(&mut self, first: &Segment) {
        self.birth = first.seq;
        self.opened_with_data = first.syn && first.payload_bytes > 0;
        self.sent = Some(Cursor::at(first.payload_seq()));
        self.maybe_keepalive = self.origin == Origin::Midstream && first.payload_bytes == 0;
    }

    /// The peer sent data with the SYN numbered `isn` (TCP fast open, RFC 7413): its bytes count from after that SYN.
    pub fn begin_behind_data_syn(&mut self, isn: u32) {
        self.received = Some(Cursor::after_syn(isn));
    }

    /// Whether it was open before it came into view.
    #[must_use]
    pub fn is_from_midstream(&self) -> bool {
        self.origin == Origin::Midstream
    }

    /// Whether none of its segments was seen yet.
    #[must_use]
    pub const fn is_unseen(&self) -> bool {
        self.sent.is_none()
    }

    /// Whether `segment`, a SYN of this host, belongs to this connection and not to a later one.
    #[must_use]
    pub fn is_same_opening(&self, segment: &Segment) -> bool {
        self.sent.is_none() || (self.origin != Origin::Midstream && self.birth == segment.seq)
    }

    /// Whether `segment`, sent by this host, can be of this connection. If not, it is of a later one between the same endpoints, whose SYN
    /// the capture lost.
    #[must_use]
    pub fn can_be_of_this_connection(&self, segment: &Segment) -> bool {
        let end = segment.end_seq();
        let ack = segment.ack.unwrap_or_default();
        // The peer's FIN may be forged. No data of this host follows its own FIN.
        let is_behind_own_fin =
            self.sent.and_then(|sent| sent.fin()).is_some_and(|fin| segment.seq == fin.wrapping_add(1));
        let is_past_peer_fin = self.is_complete() && !is_behind_own_fin && is_past_fin(self.received, ack);
        let is_past_fin = is_past_fin(self.sent, end) || is_past_peer_fin;
        !is_past_fin && can_move(self.sent, end) && (segment.ack.is_none() || can_move(self.received, ack))
    }

    /// Credits what `segment`, sent by this host at `time_ns`, shows of both directions.
    #[must_use = "the bytes belong to an account"]
    pub fn settle(&mut self, segment: &Segment, time_ns: u64) -> Bytes {
        self.embryonic &= segment.syn;
        self.confirm_note(segment, time_ns);
        if self.sent.is_none() {
            self.begin(segment);
        }
        let (end, ack) = self.former_fins.ends(segment, time_ns, &mut self.sent, &mut self.received);
        let sent = self.sent.get_or_insert_with(|| Cursor::at(segment.payload_seq()));
        if self.maybe_keepalive && distance(sent.next(), segment.seq) != 0 {
            if distance(sent.next(), segment.seq) == 1 {
                *sent = Cursor::at(segment.seq);
            }
            self.maybe_keepalive = false;
        }
        if segment.fin {
            sent.ends_at(segment.end_seq());
        }
        let mut bytes = Bytes { sent: u64::from(sent.advance_to(end)), received: 0 };
        if let Some(ack) = ack {
            let early_fin = self.early_fin.take();
            let received = self.received.get_or_insert_with(|| Cursor::at(ack));
            if let Some(fin) = early_fin.filter(|&fin| can_end_at(received, fin)) {
                received.ends_at(fin);
            }
            // After this host's FIN, the last acknowledged number may be the peer's true FIN, if the known one was forged. If it is a
            // byte, the next segment credits it.
            let is_closing = sent.fin().is_some() && !segment.rst;
            let is_short_of_fin = is_closing && received.fin().is_some_and(|fin| distance(ack, fin) > 0);
            bytes.received += u64::from(received.advance_to(if is_short_of_fin { ack.wrapping_sub(1) } else { ack }));
        }
        bytes
    }

    /// Skips bytes that no segment showed. Missing sent bytes are ahead of the cursor; missing received ones came before the first
    /// acknowledgement seen.
    pub(super) fn pass_over(&mut self, missing: Bytes) {
        if let Some(sent) = &mut self.sent {
            #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
            let _ = sent.advance_to(sent.next().wrapping_add(missing.sent as u32));
        }
    }

    /// Notes where the peer's bytes begin, by its SYN-ACK. One that does not answer this host's SYN is ignored. If two differ, neither is
    /// believed.
    pub fn peer_opened(&mut self, syn_ack: &Segment) {
        let answers_ours = match (self.sent, syn_ack.ack) {
            (Some(sent), Some(ack)) => distance(self.birth, ack) > 0 && distance(ack, sent.next()) >= 0,
            _ => false,
        };
        if !answers_ours || !self.embryonic || self.disputed {
            return;
        }
        self.disputed = self.peer_isn.is_some_and(|known| known != syn_ack.seq);
        self.peer_isn = (!self.disputed).then_some(syn_ack.seq);
    }

    /// Notes where the peer's bytes end. A FIN that cannot be in the receive window is ignored.
    pub fn peer_finished(&mut self, fin: &Segment) {
        let is_complete = self.is_complete();
        let number = fin.end_seq();
        let Some(received) = &mut self.received else {
            self.disputed |= self.early_fin.is_some_and(|known| known != number);
            self.early_fin = Some(number);
            return;
        };
        if is_complete || !can_end_at(received, number) {
            return;
        }
        self.disputed |= received.fin().is_some_and(|known| known != number);
        received.ends_at(number);
    }

    /// Bytes between the last acknowledgement and the peer's FIN, by the peer's claim.
    #[must_use]
    pub fn unacknowledged_bytes(&self) -> i32 {
        self.received.and_then(|received| Some(distance(received.next(), received.fin()?))).unwrap_or_default()
    }

    /// Stops believing the number of the peer's FIN.
    pub const fn refuse_peer_fin(&mut self) {
        self.disputed = true;
    }

    /// Credits everything up to the peer's FIN, which the kernel has received in order. Credits nothing if the FIN's number is disputed.
    #[must_use = "the bytes belong to an account"]
    pub fn settle_to_peer_fin(&mut self) -> Bytes {
        let received = self.received.as_mut().map_or(0, |received| match received.fin() {
            Some(fin) if !self.disputed => received.advance_to(fin),
            _ => 0,
        });
        Bytes { sent: 0, received: u64::from(received) }
    }

    /// Whether both FINs have been seen, but not that the peer's was acknowledged.
    #[must_use]
    pub fn awaits_last_ack(&self) -> bool {
        let has_fin = |cursor: Option<Cursor>| cursor.is_some_and(|cursor| cursor.fin().is_some());
        has_fin(self.sent) && has_fin(self.received) && !self.is_complete() && !self.disputed
    }

    /// Whether every byte of both directions has been credited.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let complete = |cursor: Option<Cursor>| cursor.is_some_and(|cursor| cursor.is_complete());
        complete(self.sent) && complete(self.received)
    }
}

/// Whether the cursor stands at its FIN, and `next` after it.
fn is_past_fin(cursor: Option<Cursor>, next: u32) -> bool {
    let fin = cursor.filter(Cursor::is_complete).and_then(|cursor| cursor.fin());
    fin.is_some_and(|fin| distance(fin.wrapping_add(1), next) > 0)
}

/// Whether a FIN with this number can be in the receive window.
fn can_end_at(cursor: &Cursor, number: u32) -> bool {
    (0..=FARTHEST_AHEAD).contains(&distance(cursor.next(), number))
}

/// Whether `next` is in reach of the cursor.
fn can_move(cursor: Option<Cursor>, next: u32) -> bool {
    cursor.is_none_or(|cursor| (-FARTHEST_BACK..=FARTHEST_AHEAD).contains(&distance(cursor.next(), next)))
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
