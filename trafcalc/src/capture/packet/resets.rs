//! RSTs that this host sends. Pure.
//!
//! The kernel releases a connection's port before it sends the RST of an aborted socket (Linux 6.18: `tcp_disconnect`), so the SYN of
//! another connection between the same endpoints may pass before the RST. A connection that is replaced without a FIN or RST is therefore
//! kept for a moment: the RST has its last numbers.

use trafcalc_common::distance;

use super::booking::book;
use super::flow::Flow;
use super::flows::{Flows, Sighting};
use super::segment::{Endpoints, Segment};
use crate::capture::Bytes;

/// A replaced connection is kept this long for its RST.
const KEPT_MS: u64 = 1_000;
/// Most replaced connections kept (2 MB); the RSTs of others are ignored.
const MAX_KEPT: usize = 4096;

impl Flow {
    /// Whether this host sent the RST `segment` for this connection, not for an earlier one, whose numbers are before its first.
    fn is_aborted_by(&self, segment: &Segment) -> bool {
        let behind = self.sent.map_or(0, |sent| distance(segment.seq, sent.next()));
        let is_of_earlier =
            u64::try_from(behind).is_ok_and(|behind| behind > self.moved.sent) && !self.is_from_midstream();
        !is_of_earlier && self.can_be_of_this_connection(segment)
    }

    /// How far the RST is from its position.
    fn distance_to(&self, segment: &Segment) -> u32 {
        self.sent.map_or(u32::MAX - 1, |sent| distance(sent.next(), segment.seq).unsigned_abs())
    }

    /// Ends it with its last numbers.
    fn abort(&mut self, sighting: &Sighting, now_ms: u64) -> Bytes {
        self.aborted = true;
        self.seen_ms = now_ms;
        self.settle(&sighting.segment, sighting.time_ns)
    }
}

impl Flows {
    /// The RST of an aborted socket carries its cursors. One that answers a stray segment carries the stranger's numbers
    /// (`tcp_v4_send_reset`): it has no ACK, or the sequence number 0.
    pub(super) fn observe_reset(&mut self, sighting: &Sighting, now_ms: u64) {
        let segment = &sighting.segment;
        if segment.ack.is_none() || segment.seq == 0 {
            return;
        }
        let distance_to = |flow: Option<&Flow>| {
            flow.filter(|flow| flow.is_aborted_by(segment)).map_or(u32::MAX, |flow| flow.distance_to(segment))
        };
        let to_latest = distance_to(self.table.get(&segment.endpoints));
        let to_followed = distance_to(self.followed.get(&segment.endpoints).map(|(flow, _)| flow));
        if to_followed < to_latest {
            if let Some((mut flow, _)) = self.followed.remove(&segment.endpoints) {
                let bytes = flow.abort(sighting, now_ms);
                book(&mut self.booked, &mut flow, bytes);
                self.close(&segment.endpoints, flow);
            }
        } else if to_latest < u32::MAX
            && let Some(flow) = self.table.get_mut(&segment.endpoints)
        {
            let was_embryonic = flow.embryonic;
            let bytes = flow.abort(sighting, now_ms);
            // The capture lost all its segments in between.
            let lacks_beginning = was_embryonic && flow.lacks_beginning() && self.losses.may_have_hit(flow);
            if lacks_beginning && !flow.is_nobodys() && !std::mem::replace(&mut flow.is_gap, true) {
                self.health.gaps += 1;
            }
            book(&mut self.booked, flow, bytes);
            self.settle_beginning(segment, sighting.time_ns);
        }
    }

    /// Another connection replaces this one.
    pub(super) fn follow(&mut self, endpoints: &Endpoints, now_ms: u64) {
        let Some(flow) = self.table.remove(endpoints) else { return };
        if flow.is_over() || flow.embryonic || self.followed.len() >= MAX_KEPT {
            self.close(endpoints, flow);
        } else if let Some((earlier, _)) = self.followed.insert(*endpoints, (flow, now_ms)) {
            self.close(endpoints, earlier);
        }
    }

    /// Stops waiting for the RSTs of connections that were replaced at least `KEPT_MS` ago, or with `all`, of all.
    pub(super) fn close_followed(&mut self, now_ms: u64, all: bool) {
        let is_due = |since_ms: u64| all || now_ms - since_ms >= KEPT_MS;
        let due: Vec<_> = self.followed.extract_if(|_, (_, since_ms)| is_due(*since_ms)).collect();
        for (endpoints, (flow, _)) in due {
            self.close(&endpoints, flow);
        }
    }
}
