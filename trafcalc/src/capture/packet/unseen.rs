//! What packets that the capture lost mean: which connections may have moved more than was counted. Pure.
//!
//! A later segment of a connection makes good what was lost before it. So a lost packet is no gap by itself, and a flood of packets
//! that are of no connection is none at all.

use std::collections::HashMap;

use super::flow::{Flow, Origin};
use super::flows::Flows;
use super::segment::Endpoints;
use super::totals::Totals;

/// An acknowledgement is put off for less (`TCP_DELACK_MAX` of the kernel is 200 ms).
const ACKNOWLEDGED_AFTER_MS: u32 = 300;

/// What the capture lost.
#[derive(Clone, Debug, Default)]
pub struct Unseen {
    /// SYN, FIN, RST or milestones were among it.
    anchors: bool,
    /// It lost something since connections were last compared with what the kernel says.
    are_new: bool,
    /// What the kernel said.
    told: HashMap<Endpoints, Totals>,
}

impl Unseen {
    /// Takes notice of lost packets, of which so many were SYN, FIN, RST or milestones.
    pub const fn observe(&mut self, packets: u64, anchors: u64) {
        self.anchors |= anchors > 0;
        self.are_new |= packets > 0;
    }

    /// Whether a SYN may be among it.
    pub const fn have_anchors(&self) -> bool {
        self.anchors
    }
}

impl Flow {
    /// Whether what was lost may be of it: it ended, and no segment told how far it came.
    pub(super) fn may_be_short(&self) -> bool {
        !self.is_complete() && !self.aborted && !self.embryonic && !self.is_nobodys()
    }

    /// Whether the kernel has told of bytes, in either direction, that this host's own segments must have shown by then.
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

    /// Takes notice of what the kernel says that connections have moved. All that passed until then is still to be observed.
    pub fn expect(&mut self, totals: impl Iterator<Item = (Endpoints, Totals)>) {
        let is_known = |flow: &Flow| flow.origin != Origin::Midstream && !flow.is_nobodys();
        let table = &self.table;
        self.unseen.told = totals.filter(|(endpoints, _)| table.get(endpoints).is_some_and(is_known)).collect();
        self.unseen.are_new = false;
    }

    /// Compares what was observed with what the kernel had said. A connection that is behind is a gap until a later segment makes it
    /// good; it is told of once.
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

    /// The kernel knows a connection, or has known it, of which no SYN was seen: if the capture lost one, bytes may have come before.
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
