//! Sequence numbers from a peer's segments, and what confirms them. Pure.
//!
//! Anybody can send a SYN-ACK or a FIN with any number, and the kernel drops what has a wrong checksum or is outside its window. So such a
//! number moves no cursor. The first segment that this host sends after its SYN shows where the peer's bytes begin. If the capture lost
//! segments, the first one seen may be a later one, and the kernel is asked how much it has received (`tcp_info`). An acknowledgement shows
//! where they end; if the capture lost segments, the kernel has to confirm the FIN. What nothing confirms is not credited, and counted as
//! refused.

use trafcalc_common::distance;

use super::audits::Audit;
use super::booking::book;
use super::finding::Question;
use super::flow::{Flow, Origin};
use super::flows::{Flows, question};
use super::segment::{Endpoints, Segment};
use super::totals::Totals;
use crate::capture::Bytes;

/// A peer sends no more after its SYN until it hears from this host again: windows in SYNs are not scaled (RFC 7323, section 2.2). It sends
/// any data at all only if SYNs may carry data (TCP fast open).
const MOST_EARLY_BYTES: u32 = u16::MAX as u32;
/// A FIN is believed up to this distance after the last acknowledgement seen: more than receive windows have by default.
const FARTHEST_FIN: i32 = 1 << 26;
/// A segment may wait this long in this host's queues after its acknowledgement was written and before it is captured. So a segment
/// captured this much later than the kernel's answer acknowledges everything in that answer.
pub(super) const IN_QUEUE_NS: u64 = 1_000_000_000;
/// Most questions about beginnings that wait to be asked; further connections count from their first acknowledgement.
const MAX_DOUBTS: usize = 4096;

/// A beginning that is in doubt: bytes that this host acknowledged before the first segment seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    /// The acknowledgement number of that segment.
    first_ack: u32,
    /// The number of these bytes, by the peer's SYN-ACK.
    claim: Option<u32>,
    told: Option<Told>,
}

/// The kernel's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    /// All bytes that it had received.
    received: u64,
    /// At most this many came before the first acknowledgement.
    most: u64,
    /// It had received the peer's FIN.
    has_fin: bool,
    /// When it answered, in nanoseconds of the wall clock.
    told_ns: u64,
}

impl Doubt {
    /// Bytes before the first acknowledgement that are certain once this host acknowledges `ack`.
    fn certain_bytes(&self, ack: Option<u32>) -> u64 {
        let Some(Told { received, most, has_fin, .. }) = self.told else { return 0 };
        let least = ack.map_or(0, |ack| received.saturating_sub(ack.wrapping_sub(self.first_ack).into()));
        // The peer's FIN may have been acknowledged, too.
        let claims =
            self.claim.map(u64::from).into_iter().flat_map(|claim| [Some(claim), claim.checked_sub(has_fin.into())]);
        claims.flatten().find(|claim| (least..=most).contains(claim)).unwrap_or(least.min(most))
    }

    /// Whether the peer's claim is not what is credited. Its FIN may have been acknowledged, too.
    fn refuses(&self, credited: u64) -> bool {
        self.claim.is_some_and(|claim| !(credited..=credited + 1).contains(&claim.into()))
    }
}

impl Flow {
    /// How far the first acknowledgement is after the peer's SYN, by the peer's own number.
    fn early_bytes(&self) -> Option<i32> {
        Some(distance(self.peer_isn?.wrapping_add(1), self.received?.next()))
    }

    /// Whether bytes came before the first acknowledgement seen, or may have come.
    pub(super) fn lacks_beginning(&self) -> bool {
        self.origin == Origin::Active && self.received.is_some() && self.early_bytes() != Some(0)
    }

    /// Notes the kernel's `totals`, which were read after the last settled segment and before `told_ns`.
    fn note_totals(&mut self, totals: &Totals, told_ns: u64) {
        let (Some(doubt), Some(received)) = (&mut self.doubt, self.received) else { return };
        let total = totals.received.saturating_sub(totals.has_received_fin.into());
        let since: u64 = received.next().wrapping_sub(doubt.first_ack).into();
        // Otherwise another connection's.
        let has_fin = totals.has_received_fin;
        doubt.told = total.checked_sub(since).map(|most| Told { received: total, most, has_fin, told_ns });
    }
}

impl Flows {
    /// The first segment after this host's SYN was settled: finds where the peer's bytes begin.
    pub(super) fn check_beginning(&mut self, endpoints: &Endpoints) {
        let Some(flow) = self.table.get_mut(endpoints) else { return };
        let Some(first_ack) = flow.received.map(|received| received.next()).filter(|_| flow.origin == Origin::Active)
        else {
            return;
        };
        let early = flow.early_bytes();
        let claim = early.and_then(|early| u32::try_from(early).ok());
        if early == Some(0) {
            return;
        }
        flow.is_noted = false;
        let sees_all = !self.losses.may_have_hit(flow);
        let is_fast_open = claim.is_some_and(|claim| flow.opened_with_data && claim <= MOST_EARLY_BYTES);
        if sees_all && is_fast_open {
            let bytes = Bytes { sent: 0, received: claim.unwrap_or_default().into() };
            book(&mut self.booked, flow, bytes);
        } else if sees_all || self.doubts.len() >= MAX_DOUBTS {
            self.health.refused_movements += u64::from(early.is_some());
            self.health.gaps += u64::from(!sees_all && !std::mem::replace(&mut flow.is_gap, true));
        } else {
            flow.doubt = Some(Doubt { first_ack, claim, told: None });
            self.doubts.push(question(endpoints, flow));
        }
    }

    /// Takes up to `most` connections whose totals are wanted from the kernel; others wait.
    pub fn take_doubts(&mut self, most: usize) -> Vec<Question> {
        let rest = self.doubts.split_off(self.doubts.len().min(most));
        std::mem::replace(&mut self.doubts, rest)
    }

    /// Notes the totals of a connection, which the kernel had reported by `told_ns`.
    pub fn learn_totals(&mut self, question: &Question, totals: &Totals, told_ns: u64) {
        if let Some(flow) = self.table.get_mut(&question.endpoints)
            && flow.birth == question.birth
        {
            match flow.doubt {
                Some(_) => flow.note_totals(totals, told_ns),
                None => flow.audit = Some(Box::new(Audit::new(*totals, flow.moved, told_ns))),
            }
        }
    }

    /// If this host wrote the settled segment after the kernel's answer, credits what came before the first acknowledgement.
    pub(super) fn settle_beginning(&mut self, segment: &Segment, time_ns: u64) {
        let Some(flow) = self.table.get_mut(&segment.endpoints) else { return };
        if let Some(doubt) = flow.doubt
            && doubt.told.is_some_and(|told| time_ns > told.told_ns + IN_QUEUE_NS)
            && let Some(received) = flow.received
        {
            flow.doubt = None;
            let bytes = doubt.certain_bytes(Some(received.next()));
            self.health.refused_movements += u64::from(doubt.refuses(bytes));
            let bytes = Bytes { sent: 0, received: bytes };
            book(&mut self.booked, flow, bytes);
        }
    }

    /// The same at the end of a connection, which has no next segment. A beginning without the kernel's answer is a gap.
    pub(super) fn settle_doubt(&mut self, flow: &mut Flow) {
        let Some(doubt) = flow.doubt.take() else { return };
        let bytes = doubt.certain_bytes(None);
        self.health.refused_movements += u64::from(doubt.refuses(bytes));
        if doubt.told.is_none() && !flow.is_nobodys() && !std::mem::replace(&mut flow.is_gap, true) {
            self.health.gaps += 1;
        }
        book(&mut self.booked, flow, Bytes { sent: 0, received: bytes });
    }

    /// The kernel has received the peer's FIN in order. If all of this host's segments were seen, they acknowledged what came before;
    /// otherwise the number of the FIN that was seen decides.
    pub(super) fn settle_to_peer_fin(&mut self, endpoints: &Endpoints) {
        let Some(flow) = self.table.get_mut(endpoints).filter(|flow| flow.awaits_last_ack()) else { return };
        let is_believed = self.losses.may_have_hit(flow) && flow.unacknowledged_bytes() <= FARTHEST_FIN;
        if is_believed {
            let bytes = flow.settle_to_peer_fin();
            book(&mut self.booked, flow, bytes);
        } else {
            flow.refuse_peer_fin();
            self.health.refused_movements += 1;
        }
    }
}

/// Packets that the capture lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    /// When a loss was last noticed, in nanoseconds of the wall clock.
    pub(super) noticed_ns: u64,
    /// In tests: some are lost without a report.
    pub(super) are_silent: bool,
}

impl Losses {
    /// Whether segments of this connection may be among them.
    pub(super) const fn may_have_hit(&self, flow: &Flow) -> bool {
        self.are_silent || self.noticed_ns > flow.born_ns
    }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
