use proptest::prelude::*;

use super::super::finding::{Finding, Standing};
use super::super::flows::Sighting;
use super::super::searches::Searches;
use super::super::segment::Direction;
use super::super::testing::segment;
use super::*;
use crate::capture::Owner;

const UID: u32 = 1000;

/// A connection that this host opens. All its own segments are seen, unless `are_lost` says otherwise.
struct Bench {
    flows: Flows,
    time_ns: u64,
}

impl Bench {
    fn new(are_lost: bool) -> Self {
        let mut bench = Self { flows: Flows::new(8, Searches::default()).losing_silently(are_lost), time_ns: 1 };
        bench.see(syn());
        bench.learn(Standing::Owned(UID));
        bench
    }

    fn see(&mut self, segment: Segment) {
        self.time_ns += 1;
        self.flows.observe(&Sighting { segment, time_ns: self.time_ns, interface: 2 }, 0);
    }

    fn learn(&mut self, standing: Standing) {
        let question = Question { endpoints: syn().endpoints, birth: 100, interface: 2 };
        self.flows.learn(&Finding { question, standing, inode: 0, listener: None, forwards: false }, 0);
    }

    /// The kernel answers between the last segment seen and the next.
    fn tell(&mut self, received: u64) {
        for question in self.flows.take_doubts(64) {
            let (cookie, acked, queued, is_closed, has_sent_fin, has_received_fin) = (1, 0, 0, false, false, false);
            let totals =
                Totals { cookie, acked, queued, received, is_closed, has_sent_fin, has_received_fin, quiet_ms: 0 };
            self.flows.learn_totals(&question, &totals, self.time_ns);
        }
        self.time_ns += IN_QUEUE_NS;
    }

    fn received(&mut self) -> u64 {
        let credits = self.flows.take_credits();
        assert!(credits.iter().all(|(owner, _)| *owner == Owner::user(UID)), "{credits:?}");
        credits.iter().map(|(_, bytes)| bytes.received).sum()
    }

    fn refused(&self) -> u64 {
        self.flows.health().refused_movements
    }
}

fn syn() -> Segment {
    Segment { syn: true, ack: None, ..segment(100, 0, 0) }
}

fn syn_ack(seq: u32) -> Segment {
    Segment { syn: true, direction: Direction::Incoming, ..segment(seq, 101, 0) }
}

fn peer_fin(seq: u32) -> Segment {
    Segment { fin: true, direction: Direction::Incoming, ..segment(seq, 101, 0) }
}

#[test]
fn a_forged_syn_ack_neither_adds_nor_hides() {
    for forged in [500_u32.wrapping_sub(1 << 28), 500 + (1 << 28), 400, 600] {
        let mut bench = Bench::new(false);
        bench.see(syn_ack(forged));
        bench.see(segment(101, 501, 0));
        bench.see(segment(101, 1_501, 0));
        assert_eq!((bench.received(), bench.refused()), (1_000, 1), "{forged}");
        assert_eq!(bench.flows.take_doubts(64), [], "nothing was lost, so nothing is in doubt");
    }
}

#[test]
fn a_forged_fin_adds_nothing_though_the_true_one_was_not_seen() {
    for forged in [503, 10_000, 501 + (1 << 28)] {
        let mut bench = Bench::new(false);
        bench.see(syn_ack(500));
        bench.see(segment(101, 501, 0));
        bench.see(peer_fin(forged));
        bench.see(Segment { fin: true, ..segment(101, 501, 0) });
        // The true one was 501.
        bench.see(segment(102, 502, 0));
        bench.learn(Standing::TimeWait);
        bench.learn(Standing::TimeWait);
        bench.flows.conclude();
        assert_eq!((bench.received(), bench.refused()), (0, 1), "{forged}");
    }
}

#[test]
fn a_connection_goes_on_behind_a_forged_fin() {
    let mut bench = Bench::new(false);
    bench.see(segment(101, 501, 0));
    bench.see(Segment { fin: true, ..segment(101, 501, 0) });
    bench.see(peer_fin(501));
    for ack in [502, 503, 9_000, 20_000] {
        bench.see(segment(102, ack, 0));
    }
    assert_eq!(bench.received(), 19_499);
}

#[test]
fn what_came_before_the_first_acknowledgement_that_was_seen_counts_if_the_kernel_agrees() {
    // The kernel reports 1,010 bytes. Counted from 500, the segment before acknowledged 1,000 and the next one 1,040.
    let told = [(500, 1_000, 0), (490, 1_010, 0), (530, 970, 0), (480, 970, 1), (600, 970, 1), (1_600, 970, 0)];
    for (claimed, credited, refused) in told {
        let mut bench = Bench::new(true);
        bench.see(syn_ack(claimed));
        bench.see(segment(101, 1_501, 0));
        bench.tell(1_010);
        bench.see(segment(101, 1_541, 0));
        assert_eq!((bench.received(), bench.refused()), (credited + 40, refused), "{claimed}");
        // The audit compares this with the kernel's totals.
        let moved: Vec<_> = bench.flows.table.values().map(|flow| flow.moved.received).collect();
        assert_eq!(moved, [credited + 40], "{claimed}");
    }
}

#[test]
fn a_beginning_of_which_the_kernel_tells_nothing_is_refused_and_a_gap() {
    let mut bench = Bench::new(true);
    bench.see(syn_ack(500));
    bench.see(segment(101, 1_501, 0));
    bench.see(segment(101, 1_541, 0));
    bench.flows.conclude();
    assert_eq!((bench.received(), bench.refused(), bench.flows.health().gaps), (40, 1, 1));
}

#[test]
fn data_before_the_first_acknowledgement_is_believed_where_this_host_sent_some_with_its_syn() {
    for (claimed, credited) in [(500, 1_000), (1_500_u32.wrapping_sub(MOST_EARLY_BYTES + 1), 0)] {
        let mut flows = Flows::new(8, Searches::default());
        let syn = Segment { payload_bytes: 700, ..syn() };
        let answer = Segment { ack: Some(801), ..syn_ack(claimed) };
        for (time_ns, segment) in [(1, syn), (2, answer), (3, segment(801, 1_501, 10))] {
            flows.observe(&Sighting { segment, time_ns, interface: 2 }, 0);
        }
        flows.conclude();
        assert_eq!(flows.take_credits(), [(Owner::UNATTRIBUTED, Bytes { sent: 710, received: credited })]);
    }
}

#[test]
fn a_loss_that_was_noticed_after_a_connection_began_may_have_hit_it() {
    let mut bench = Bench::new(false);
    bench.flows.observe_loss(1, 0, bench.time_ns + 1);
    bench.see(syn_ack(500));
    bench.see(segment(101, 1_501, 0));
    bench.tell(1_000);
    bench.see(segment(101, 1_502, 0));
    assert_eq!((bench.received(), bench.refused()), (1_001, 0));
}

proptest! {
    /// Whatever arrives from the network, and when: exactly what this host acknowledges is counted.
    #[test]
    fn forged_segments_neither_add_nor_hide(
        steps in prop::collection::vec(prop_oneof![
            (1..100_000_u32).prop_map(Ok),
            (prop_oneof![any::<u32>(), 400..200_000_u32], 0..8_u8, 0..9_000_u32).prop_map(Err),
        ], 0..40),
        early in prop::collection::vec(any::<u32>(), 0..3), closes_at in 0..40_usize,
    ) {
        let mut bench = Bench::new(false);
        for seq in early {
            bench.see(syn_ack(seq));
        }
        bench.see(segment(101, 501, 0));
        let (mut seq, mut ack) = (101, 501);
        for (number, step) in steps.into_iter().enumerate() {
            if number == closes_at {
                bench.see(Segment { fin: true, ..segment(seq, ack, 0) });
                seq += 1;
            }
            match step {
                Ok(bytes) => {
                    ack += bytes;
                    bench.see(segment(seq, ack, 0));
                }
                Err((number, flags, payload)) => {
                    let forged = Segment { direction: Direction::Incoming, ..segment(number, seq, payload) };
                    bench.see(Segment { syn: flags & 1 != 0, fin: flags & 2 != 0, rst: flags & 4 != 0, ..forged });
                }
            }
        }
        // If the last number may be a FIN, it is left to the next segment.
        bench.see(Segment { rst: true, ..segment(seq, ack, 0) });
        prop_assert_eq!(bench.received(), u64::from(ack - 501));
    }
}

#[test]
fn what_was_lost_before_the_start_is_of_no_older_connection() {
    let mut flows = Flows::new(8, Searches::default()).seeing_all_since(100);
    flows.adopt(syn().endpoints, 0, UID);
    let is_hit = |flows: &Flows| flows.losses.may_have_hit(flows.table.values().next().unwrap());
    assert!(!is_hit(&flows));
    flows.observe_loss(1, 0, 200);
    assert!(is_hit(&flows));
}

#[test]
fn a_reset_that_is_all_that_is_seen_is_a_gap_if_something_was_lost() {
    for (are_lost, gaps) in [(true, 1), (false, 0)] {
        let mut bench = Bench::new(are_lost);
        let gaps_before = bench.flows.health().gaps;
        bench.see(syn());
        bench.see(Segment { rst: true, ..segment(101, 700_000, 0) });
        assert_eq!(bench.flows.health().gaps - gaps_before, gaps);
    }
}
