//! One connection as the packets this host sends tell it: two cursors, an owner, an end. Pure; time is passed in.

use std::sync::Arc;

use trafcalc_common::{Cursor, distance};

use super::audits::Audit;
use super::claims::Doubt;
use super::notes::FormerFins;
use super::segment::Segment;
use crate::capture::{Bytes, Owner};

/// A segment this far behind a cursor is no retransmission: send buffers are smaller.
const FARTHEST_BACK: i32 = 1 << 28;
/// A segment this far ahead of a cursor is of another connection: anchors show the cursor every 256 MiB.
const FARTHEST_AHEAD: i32 = 1 << 30;

/// Whose bytes a connection's are, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Not known yet: the bytes wait here.
    Pending(Pending),
    /// The user with this id; the bytes wait here until more is known.
    Searching(u32, Bytes),
    /// The user with this id.
    User(u32),
    /// An owner of whom more is known than the user. All connections of one share it.
    Fine(Arc<Owner>),
    /// Found out too late or not at all; the bytes are unattributed.
    Nobody,
    /// The table was full: counted, but not asked about.
    Overflow,
    /// Not a connection of this host: forwarded or bridged. Its bytes are nobody's.
    Foreign,
    /// Of somebody who is not to be counted.
    Unwanted,
    /// Nobody knows whether it is of somebody who is to be counted. Its bytes are only told about.
    Undecided(Bytes),
}

/// Bytes that wait for their owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// How many.
    pub bytes: Bytes,
    /// The user of the socket that listens on the local port, as far as is known.
    pub listener: Option<u32>,
    /// When it was found out, in milliseconds since the start, that the connection's own socket can no longer be asked.
    pub orphaned_ms: Option<u64>,
}

/// How a connection came into view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This host opened it: its SYN was seen.
    Active,
    /// The peer opened it: this host's SYN-ACK was seen.
    Passive,
    /// It was open before.
    Midstream,
}

/// One connection.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one connection")]
pub struct Flow {
    /// Sequence number of the first segment seen, which tells this connection from an earlier one between the same
    /// endpoints.
    pub birth: u32,
    /// How it came into view.
    pub origin: Origin,
    /// Whose bytes.
    pub holder: Holder,
    /// The class of the network that the peer is in.
    pub class: Option<Arc<str>>,
    /// Index of the interface of the first segment.
    pub interface: u32,
    /// When the last segment passed, in milliseconds since the start.
    pub seen_ms: u64,
    /// When its socket was last asked about, in milliseconds since the start.
    pub asked_ms: u64,
    /// Something is known about its socket.
    pub answered: bool,
    /// The same SYN came in by another interface a moment before it left: forwarded with a translated address.
    pub relayed: bool,
    /// Only SYNs have been seen.
    pub embryonic: bool,
    /// The peer said that it is over. Anybody can say that.
    pub reset: bool,
    /// This host said with an RST that it is over.
    pub aborted: bool,
    /// The table was full: whatever the owner, its bytes go to `(other)`.
    pub overflow: bool,
    /// The kernel no longer knows the connection.
    pub gone: bool,
    /// When the first segment seen passed, in nanoseconds of the wall clock.
    pub born_ns: u64,
    /// What it moved since it came into view.
    pub(super) moved: Bytes,
    /// It came into view in mid-stream after the capture had lost a SYN.
    pub lost_its_beginning: bool,
    /// What the capture lost of it was told of already.
    pub is_gap: bool,
    /// What it had moved, in both directions, when it was last compared with the kernel's totals.
    pub(super) audited_bytes: u64,
    /// What the kernel said of it.
    pub(super) audit: Option<Box<Audit>>,
    pub(super) sent: Option<Cursor>,
    pub(super) received: Option<Cursor>,
    /// FINs that passed in that time.
    pub(super) former_fins: FormerFins,
    /// It goes on from a note that no segment has confirmed yet, as the kernel told of it at this time of the wall clock.
    pub(super) unconfirmed_ns: Option<u64>,
    /// It was noted where it stands.
    pub(super) is_noted: bool,
    /// The number of the peer's SYN, by what the peer says.
    pub(super) peer_isn: Option<u32>,
    /// The number of the peer's FIN, by what the peer says, if that is known before the first acknowledgement.
    early_fin: Option<u32>,
    /// This host's SYN had data.
    pub(super) opened_with_data: bool,
    /// Where its bytes begin is in doubt.
    pub(super) doubt: Option<Doubt>,
    /// Two packets from the net contradicted each other about where the peer's bytes begin or end.
    disputed: bool,
    /// The first segment seen was empty: it may have been a keep-alive, which stands one byte before the cursor.
    maybe_keepalive: bool,
}

impl Flow {
    /// A connection of which `first`, sent by this host, is the first segment seen. It has not been settled.
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

    /// A connection that was open before the start and has this holder; its socket is bound to `interface`, or to none if 0.
    /// Its first segment is yet to be seen.
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

    /// The first segment that this host sends on it sets where its bytes begin.
    fn begin(&mut self, first: &Segment) {
        self.birth = first.seq;
        self.opened_with_data = first.syn && first.payload_bytes > 0;
        self.sent = Some(Cursor::at(first.payload_seq()));
        self.maybe_keepalive = self.origin == Origin::Midstream && first.payload_bytes == 0;
    }

    /// The peer sent data with the SYN numbered `isn` (TCP fast open, RFC 7413): its bytes count from behind that SYN.
    pub fn begin_behind_data_syn(&mut self, isn: u32) {
        self.received = Some(Cursor::after_syn(isn));
    }

    /// Whether it was open before it came into view.
    #[must_use]
    pub fn is_from_midstream(&self) -> bool {
        self.origin == Origin::Midstream
    }

    /// Whether its first segment is yet to be seen.
    #[must_use]
    pub const fn is_unseen(&self) -> bool {
        self.sent.is_none()
    }

    /// Whether `segment`, a SYN of this host, belongs to this connection and not to a later one.
    #[must_use]
    pub fn is_same_opening(&self, segment: &Segment) -> bool {
        self.sent.is_none() || (self.origin != Origin::Midstream && self.birth == segment.seq)
    }

    /// Whether `segment`, sent by this host, can be of this connection; else it is of a later one between the same
    /// endpoints, whose SYN was lost by the capture.
    #[must_use]
    pub fn can_be_of_this_connection(&self, segment: &Segment) -> bool {
        let end = segment.end_seq();
        let ack = segment.ack.unwrap_or_default();
        // The peer's FIN may be forged. Behind its own this host sends nothing more.
        let is_behind_own_fin =
            self.sent.and_then(|sent| sent.fin()).is_some_and(|fin| segment.seq == fin.wrapping_add(1));
        let is_past_peer_fin = self.is_complete() && !is_behind_own_fin && is_past_fin(self.received, ack);
        let is_past_fin = is_past_fin(self.sent, end) || is_past_peer_fin;
        !is_past_fin && can_move(self.sent, end) && (segment.ack.is_none() || can_move(self.received, ack))
    }

    /// Credits what `segment`, sent by this host at `time_ns`, tells of both directions.
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
            // Behind this host's own FIN, the last of these may be the peer's, if what was said of its number was a lie. What follows
            // it in truth has it, too.
            let is_closing = sent.fin().is_some() && !segment.rst;
            let is_short_of_fin = is_closing && received.fin().is_some_and(|fin| distance(ack, fin) > 0);
            bytes.received += u64::from(received.advance_to(if is_short_of_fin { ack.wrapping_sub(1) } else { ack }));
        }
        bytes
    }

    /// Takes notice of bytes that its segments did not tell. Those that were sent are behind the cursor; those that were received were
    /// before the first one seen.
    pub(super) fn pass_over(&mut self, missing: Bytes) {
        if let Some(sent) = &mut self.sent {
            #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
            let _ = sent.advance_to(sent.next().wrapping_add(missing.sent as u32));
        }
    }

    /// Notes where the peer says that its bytes begin, in a SYN-ACK; one that does not answer this host's SYN is ignored.
    /// When two differ, none is believed.
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

    /// Bytes between the last acknowledgement and the peer's FIN, by what the peer says.
    #[must_use]
    pub fn unacknowledged_bytes(&self) -> i32 {
        self.received.and_then(|received| Some(distance(received.next(), received.fin()?))).unwrap_or_default()
    }

    /// The number of the peer's FIN is not believed.
    pub const fn refuse_peer_fin(&mut self) {
        self.disputed = true;
    }

    /// Credits everything up to the peer's FIN, when the kernel's own state says that it was received in order, and only
    /// one FIN was seen.
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

/// Whether `next` is beyond the FIN where the cursor stands.
fn is_past_fin(cursor: Option<Cursor>, next: u32) -> bool {
    let fin = cursor.filter(Cursor::is_complete).and_then(|cursor| cursor.fin());
    fin.is_some_and(|fin| distance(fin.wrapping_add(1), next) > 0)
}

/// Whether a FIN with this number can be in the receive window.
fn can_end_at(cursor: &Cursor, number: u32) -> bool {
    (0..=FARTHEST_AHEAD).contains(&distance(cursor.next(), number))
}

/// Whether the cursor can have come to `next` without a leap.
fn can_move(cursor: Option<Cursor>, next: u32) -> bool {
    cursor.is_none_or(|cursor| (-FARTHEST_BACK..=FARTHEST_AHEAD).contains(&distance(cursor.next(), next)))
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
