//! Numbers that come from a peer's segments, and who confirms them. Pure.
//!
//! Anybody can send a SYN-ACK or a FIN with any number, and the kernel throws away what has a wrong checksum or is outside its window. So
//! such a number moves no cursor. Where the peer's bytes begin, the first segment tells that this host sends behind its SYN. If the
//! capture lost segments, that may not be the first one, and the kernel is asked how much it has received (`tcp_info`). Where they end,
//! an acknowledgement tells; if the capture lost segments, the kernel has to say that it received the FIN. What nobody confirms is not
//! credited, and counted as refused.

use trafcalc_common::distance;

use super::audits::Audit;
use super::booking::book;
use super::finding::Question;
use super::flow::{Flow, Origin};
use super::flows::{Flows, question};
use super::segment::{Endpoints, Segment};
use super::totals::Totals;
use crate::capture::Bytes;

/// A peer sends no more behind its SYN before it hears from this host again: windows in SYNs are not scaled (RFC 7323, section 2.2).
/// It sends anything at all only if data may come with SYNs (TCP fast open).
const MOST_EARLY_BYTES: u32 = u16::MAX as u32;
/// Farthest that a FIN is believed to be beyond the last acknowledgement that was not lost: more than receive windows have by default.
const FARTHEST_FIN: i32 = 1 << 26;
/// A segment may wait so long in this host's queues, behind the moment at which its acknowledgement was written and before it is
/// captured. So what passed that much later than the kernel told acknowledges all that it told.
pub(super) const IN_QUEUE_NS: u64 = 1_000_000_000;
/// Connections about whose beginning the kernel is to be asked at most; further ones count from their first acknowledgement.
const MAX_DOUBTS: usize = 4096;

/// A beginning that is in doubt: bytes that this host acknowledged before the first segment that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    /// What the first segment that was seen acknowledged.
    first_ack: u32,
    /// How many bytes the peer's SYN-ACK says it were.
    claim: Option<u32>,
    told: Option<Told>,
}

/// What the kernel told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    /// Bytes that it had received in all.
    received: u64,
    /// They were not more than this before the first acknowledgement.
    most: u64,
    /// The peer's FIN was among what it had received.
    has_fin: bool,
    /// When it had told, in nanoseconds of the wall clock.
    told_ns: u64,
}

impl Doubt {
    /// Bytes before the first acknowledgement of which, by what is known when this host acknowledges `ack`, nobody can doubt.
    fn certain_bytes(&self, ack: Option<u32>) -> u64 {
        let Some(Told { received, most, has_fin, .. }) = self.told else { return 0 };
        let least = ack.map_or(0, |ack| received.saturating_sub(ack.wrapping_sub(self.first_ack).into()));
        // The peer's FIN may have been acknowledged, too.
        let claims =
            self.claim.map(u64::from).into_iter().flat_map(|claim| [Some(claim), claim.checked_sub(has_fin.into())]);
        claims.flatten().find(|claim| (least..=most).contains(claim)).unwrap_or(least.min(most))
    }

    /// Whether the peer's word is not what is credited. Its FIN may have been acknowledged, too.
    fn refuses(&self, credited: u64) -> bool {
        self.claim.is_some_and(|claim| !(credited..=credited + 1).contains(&claim.into()))
    }
}

impl Flow {
    /// How far the first acknowledgement is beyond the peer's SYN, by what the peer says.
    fn early_bytes(&self) -> Option<i32> {
        Some(distance(self.peer_isn?.wrapping_add(1), self.received?.next()))
    }

    /// Whether bytes came before the first acknowledgement that was seen, or nobody knows.
    pub(super) fn lacks_beginning(&self) -> bool {
        self.origin == Origin::Active && self.received.is_some() && self.early_bytes() != Some(0)
    }

    /// Notes what the kernel told of it between two moments: `totals`, not before what was settled, and not after `told_ns`.
    fn note_totals(&mut self, totals: &Totals, told_ns: u64) {
        let (Some(doubt), Some(received)) = (&mut self.doubt, self.received) else { return };
        let total = totals.received.saturating_sub(totals.has_received_fin.into());
        let since: u64 = received.next().wrapping_sub(doubt.first_ack).into();
        // Else it is another connection's.
        let has_fin = totals.has_received_fin;
        doubt.told = total.checked_sub(since).map(|most| Told { received: total, most, has_fin, told_ns });
    }
}

impl Flows {
    /// The first segment behind this host's SYN was settled: where do the peer's bytes begin?
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

    /// Connections of which the kernel's totals are wanted, at most so many; the others wait.
    pub fn take_doubts(&mut self, most: usize) -> Vec<Question> {
        let rest = self.doubts.split_off(self.doubts.len().min(most));
        std::mem::replace(&mut self.doubts, rest)
    }

    /// Takes notice of the totals of a connection, which the kernel had told by `told_ns`.
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

    /// A segment was settled that this host wrote after the kernel had told: what came before the first acknowledgement is known.
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

    /// The same at the end of a connection, whose next segment does not come; a beginning that the kernel told nothing of is a gap.
    pub(super) fn settle_doubt(&mut self, flow: &mut Flow) {
        let Some(doubt) = flow.doubt.take() else { return };
        let bytes = doubt.certain_bytes(None);
        self.health.refused_movements += u64::from(doubt.refuses(bytes));
        if doubt.told.is_none() && !flow.is_nobodys() && !std::mem::replace(&mut flow.is_gap, true) {
            self.health.gaps += 1;
        }
        book(&mut self.booked, flow, Bytes { sent: 0, received: bytes });
    }

    /// The kernel has received the peer's FIN in order. If all of this host's segments were seen, they have acknowledged what came
    /// before; else it is as far away as the FIN that was seen says.
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
    /// When it was last noticed that there are more, in nanoseconds of the wall clock.
    pub(super) noticed_ns: u64,
    /// Some are lost of which nobody says so: in tests.
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
