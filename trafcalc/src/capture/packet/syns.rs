//! The SYNs that came in last. They show where a peer's bytes begin if some came with its SYN, and which connections this host only
//! forwards with a translated address (NAT: their SYN keeps its number and destination port). Pure.

use trafcalc_common::distance;

use super::segment::{Endpoints, Segment};

/// SYNs remembered. One is looked up within microseconds after it came in; 4,096 leave room for a flood. 250 KB.
const MAX_SYNS: usize = 4096;

/// The SYNs that came in last, and those that carried data.
#[derive(Debug)]
pub struct RecentSyns {
    all: Vec<(u32, u16)>,
    with_data: Vec<Option<(Endpoints, u32, u32)>>,
}

impl Default for RecentSyns {
    fn default() -> Self {
        Self { all: vec![(0, 0); MAX_SYNS], with_data: vec![None; MAX_SYNS] }
    }
}

impl RecentSyns {
    /// Notes a SYN that came in.
    pub fn note(&mut self, syn: &Segment) {
        let Segment { seq, payload_bytes, endpoints, .. } = *syn;
        self.all[slot(seq)] = (seq, endpoints.local_port);
        if payload_bytes > 0 {
            self.with_data[slot(u32::from(endpoints.remote_port))] = Some((endpoints, seq, payload_bytes));
        }
    }

    /// Whether a SYN came in lately that this host forwarded as `syn`.
    #[must_use]
    pub fn has_relayed(&self, syn: &Segment) -> bool {
        self.all[slot(syn.seq)] == (syn.seq, syn.endpoints.remote_port)
    }

    /// The number of the SYN whose data this host acknowledges with `syn_ack`.
    #[must_use]
    pub fn acknowledged_with_data(&self, syn_ack: &Segment) -> Option<u32> {
        let (endpoints, seq, payload_bytes) = self.with_data[slot(u32::from(syn_ack.endpoints.remote_port))]?;
        let taken = u32::try_from(distance(seq.wrapping_add(1), syn_ack.ack?)).ok()?;
        // The true SYN may be another one, without data, and this one forged.
        let plain = syn_ack.ack?.wrapping_sub(1);
        let is_disputed = self.all[slot(plain)] == (plain, endpoints.local_port);
        let is_meant = endpoints == syn_ack.endpoints && (1..=payload_bytes).contains(&taken);
        (is_meant && !is_disputed).then_some(seq)
    }
}

fn slot(number: u32) -> usize {
    number as usize % MAX_SYNS
}
