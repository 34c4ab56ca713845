//! Before each report, compares the connections that moved most with the kernel's totals. Pure.
//!
//! The kernel is asked between two segments of a connection. The count after the first one must not exceed the kernel's totals, and the
//! count after both must not be less. Missing bytes are credited. Surplus bytes, which only a sender of frames on this host's outgoing path
//! can cause, are not taken back: the cursor is too far ahead, and credits nothing until the connection has caught up.

use super::booking::book;
use super::claims::IN_QUEUE_NS;
use super::flow::Flow;
use super::flows::{Flows, question};
use super::segment::Segment;
use super::totals::Totals;
use crate::capture::Bytes;

/// Connections about which the kernel is asked before a report; each takes some 20 us.
const MOST_AUDITS: usize = 32;
/// Connections that moved less since their last audit are left out.
const LEAST_MOVED_BYTES: u64 = 1 << 20;
/// A SYN and a FIN may be among what the peer acknowledged.
const SYN_AND_FIN: u64 = 2;

/// The kernel's totals, to be compared with a later segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Audit {
    totals: Totals,
    /// What was counted when it was asked.
    before: Bytes,
    /// When it answered, in nanoseconds of the wall clock.
    told_ns: u64,
}

impl Audit {
    pub(super) const fn new(totals: Totals, before: Bytes, told_ns: u64) -> Self {
        Self { totals, before, told_ns }
    }

    /// The bytes missing in `after`, and the surplus in `before`.
    const fn differences(&self, after: Bytes) -> (Bytes, Bytes) {
        let Self { totals: Totals { acked, queued, received, has_received_fin, .. }, before, .. } = *self;
        let missing = Bytes {
            sent: acked.saturating_sub(SYN_AND_FIN).saturating_sub(after.sent),
            received: received.saturating_sub(has_received_fin as u64).saturating_sub(after.received),
        };
        let surplus = Bytes {
            sent: before.sent.saturating_sub(acked.saturating_add(queued as u64)),
            received: before.received.saturating_sub(received),
        };
        (missing, surplus)
    }
}

impl Flow {
    /// Bytes that it moved since its last audit.
    const fn unaudited_bytes(&self) -> u64 {
        (self.moved.sent + self.moved.received).saturating_sub(self.audited_bytes)
    }

    /// Whether its bytes are known from the first one on.
    fn can_be_audited(&self) -> bool {
        !self.is_from_midstream() && !self.is_over() && !self.is_nobodys() && self.doubt.is_none()
    }
}

impl Flows {
    /// Queues questions about the connections that moved most.
    pub fn begin_audits(&mut self) {
        let is_wanted = |flow: &Flow| flow.unaudited_bytes() >= LEAST_MOVED_BYTES && flow.can_be_audited();
        let mut wanted: Vec<_> = self.table.iter_mut().filter(|(_, flow)| is_wanted(flow)).collect();
        if wanted.len() > MOST_AUDITS {
            wanted.select_nth_unstable_by_key(MOST_AUDITS, |(_, flow)| std::cmp::Reverse(flow.unaudited_bytes()));
            wanted.truncate(MOST_AUDITS);
        }
        for (endpoints, flow) in wanted {
            flow.audited_bytes = flow.moved.sent + flow.moved.received;
            self.doubts.push(question(endpoints, flow));
        }
    }

    /// Ends the audit if this host wrote the segment after the kernel answered.
    pub(super) fn finish_audit(&mut self, segment: &Segment, time_ns: u64) {
        let Some(flow) = self.table.get_mut(&segment.endpoints) else { return };
        let Some(audit) = flow.audit.take_if(|audit| time_ns > audit.told_ns + IN_QUEUE_NS) else { return };
        let (missing, surplus) = audit.differences(flow.moved);
        self.health.audited += 1;
        if missing.is_zero() && surplus.is_zero() {
            return;
        }
        self.health.audit_mismatches += 1;
        tracing::warn!(?segment.endpoints, ?missing, ?surplus, ?audit, "the kernel has counted something else");
        flow.pass_over(missing);
        book(&mut self.booked, flow, missing);
    }
}

#[cfg(test)]
#[path = "audits_tests.rs"]
mod tests;
