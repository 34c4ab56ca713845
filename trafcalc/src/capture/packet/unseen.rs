//! What lost packets mean: which connections may have moved more than was counted. Pure.
//!
//! A later segment of a connection makes up for what was lost before it. So a lost packet is no gap by itself, and a flood of packets that
//! belong to no connection never is.

use std::collections::HashMap;

use super::flow::{Flow, Origin};
use super::flows::Flows;
use super::segment::Endpoints;
use super::totals::Totals;

/// Acknowledgements are delayed for less (`TCP_DELACK_MAX` of the kernel is 200 ms).
const ACKNOWLEDGED_AFTER_MS: u32 = 300;

/// What the capture lost.
#[derive(Clone, Debug, Default)]
pub struct Unseen {
    /// SYN, FIN, RST or milestones were lost.
    anchors: bool,
    /// Something was lost since connections were last compared with the kernel's totals.
    are_new: bool,
    /// The kernel's totals.
    told: HashMap<Endpoints, Totals>,
}

impl Unseen {
    /// Notes lost packets; `anchors` of them were SYN, FIN, RST or milestones.
    pub const fn observe(&mut self, packets: u64, anchors: u64) {
        self.anchors |= anchors > 0;
        self.are_new |= packets > 0;
    }

    /// Whether a SYN may be lost.
    pub const fn have_anchors(&self) -> bool {
        self.anchors
    }
}

impl Flow {
    /// Whether it may lack lost packets: it ended, and no segment showed its last position.
    pub(super) fn may_be_short(&self) -> bool {
        !self.is_complete() && !self.aborted && !self.embryonic && !self.is_nobodys()
    }

    /// Whether the kernel's totals have bytes, in either direction, that this host's own segments must have shown by then.
    fn is_behind(&self, totals: &Totals) -> bool {
        let syn = u64::from(self.origin == Origin::Active);
        let acked = totals.acked.saturating_sub(syn + u64::from(totals.is_closed));
        let received = totals.received.saturating_sub(totals.has_received_fin.into());
        let is_acknowledged = totals.quiet_ms >= ACKNOWLEDGED_AFTER_MS;
        acked > self.moved.sent || (is_acknowledged && received > self.moved.received)
    }
}

impl Flows {
    /// Whether packets were lost since connections were last compared.
    #[must_use]
    pub const fn wants_totals(&self) -> bool {
        self.unseen.are_new
    }

    /// Notes the kernel's totals. Everything that passed before them is still to be observed.
    pub fn expect(&mut self, totals: impl Iterator<Item = (Endpoints, Totals)>) {
        let is_known = |flow: &Flow| flow.origin != Origin::Midstream && !flow.is_nobodys();
        let table = &self.table;
        self.unseen.told = totals.filter(|(endpoints, _)| table.get(endpoints).is_some_and(is_known)).collect();
        self.unseen.are_new = false;
    }

    /// Compares what was observed with the kernel's totals. A connection that is behind is counted as a gap once, even if a later segment
    /// makes up for it.
    pub fn compare(&mut self) {
        for (endpoints, totals) in std::mem::take(&mut self.unseen.told) {
            if let Some(flow) = self.table.get_mut(&endpoints)
                && flow.is_behind(&totals)
                && !std::mem::replace(&mut flow.is_gap, true)
            {
                self.health.gaps += 1;
            }
        }
    }

    /// The kernel knows, or knew, a connection whose SYN was not seen: if the capture lost it, bytes may have come before.
    pub(super) fn tell_of_lost_beginning(&mut self, endpoints: &Endpoints) {
        if let Some(flow) = self.table.get_mut(endpoints)
            && flow.lost_its_beginning
            && !flow.is_nobodys()
            && !std::mem::replace(&mut flow.is_gap, true)
        {
            self.health.gaps += 1;
        }
    }
}

#[cfg(test)]
#[path = "unseen_tests.rs"]
mod tests;
