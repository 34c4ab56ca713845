use super::super::finding::{Finding, Question, Standing};
use super::super::flows::Sighting;
use super::super::searches::Searches;
use super::super::segment::{Direction, Segment};
use super::super::testing::segment;
use super::*;

const ISN: u32 = 100;
const PEER_ISN: u32 = 500;

/// A connection that this host opened, with these bytes seen in each direction.
fn opened(sent: u32, received: u32) -> Flows {
    let mut flows = Flows::new(16, Searches::default());
    let ack = PEER_ISN + 1;
    let syn = Segment { syn: true, ack: None, ..segment(ISN, 0, 0) };
    let syn_ack = Segment { syn: true, direction: Direction::Incoming, ..segment(PEER_ISN, ISN + 1, 0) };
    for segment in [syn, syn_ack, segment(ISN + 1, ack, 0), segment(ISN + 1, ack + received, sent)] {
        see(&mut flows, segment);
    }
    flows
}

fn see(flows: &mut Flows, segment: Segment) {
    flows.observe(&Sighting { segment, time_ns: 1, interface: 1 }, 0);
}

/// The kernel's totals, with the SYN, or the FIN.
fn totals(acked: u64, received: u64) -> Totals {
    Totals {
        cookie: 1,
        acked,
        queued: 0,
        received,
        is_closed: false,
        has_sent_fin: false,
        has_received_fin: false,
        quiet_ms: ACKNOWLEDGED_AFTER_MS,
    }
}

fn gaps_after(flows: &mut Flows, told: Totals) -> u64 {
    flows.expect([(segment(0, 0, 0).endpoints, told)].into_iter());
    flows.compare();
    flows.health().gaps
}

#[test]
fn a_connection_is_a_gap_once_the_kernel_has_told_of_more_than_was_seen() {
    for (told, gaps) in [
        (totals(1001, 2000), 0),
        (totals(1002, 2000), 1),
        (totals(1001, 2001), 1),
        (Totals { quiet_ms: ACKNOWLEDGED_AFTER_MS - 1, ..totals(1001, 2001) }, 0),
        (Totals { is_closed: true, has_received_fin: true, ..totals(1002, 2001) }, 0),
        (Totals { is_closed: true, has_received_fin: true, ..totals(1003, 2001) }, 1),
    ] {
        let mut flows = opened(1000, 2000);
        assert_eq!(gaps_after(&mut flows, told), gaps, "{told:?}");
        assert_eq!(gaps_after(&mut flows, told), gaps, "told of once: {told:?}");
    }
}

#[test]
fn what_passed_before_the_comparison_is_no_gap() {
    let mut flows = opened(1000, 2000);
    flows.expect([(segment(0, 0, 0).endpoints, totals(1501, 2000))].into_iter());
    see(&mut flows, segment(ISN + 1001, PEER_ISN + 2001, 500));
    flows.compare();
    assert_eq!(flows.health().gaps, 0);
}

#[test]
fn the_kernel_is_asked_again_only_after_another_loss() {
    let mut flows = opened(1, 1);
    assert!(!flows.wants_totals());
    flows.observe_loss(1, 0, 2);
    assert!(flows.wants_totals());
    flows.expect(std::iter::empty());
    assert!(!flows.wants_totals());
}

#[test]
fn lost_anchors_are_no_gap_but_a_beginning_that_was_not_seen_behind_them_is() {
    let in_midstream = |anchors: u64, standing: Standing| {
        let mut flows = Flows::new(16, Searches::default());
        flows.observe_loss(anchors + 1, anchors, 2);
        assert_eq!(flows.health().gaps, 0);
        see(&mut flows, segment(ISN, PEER_ISN, 10));
        let question = Question { endpoints: segment(0, 0, 0).endpoints, birth: ISN, interface: 1 };
        let finding = Finding { question, standing, inode: 1, listener: None, forwards: true };
        flows.learn(&finding, 0);
        flows.learn(&finding, 0);
        flows.health().gaps
    };
    assert_eq!(in_midstream(1, Standing::Owned(1)), 1);
    assert_eq!(in_midstream(0, Standing::Owned(1)), 0, "it is older than the service");
    assert_eq!(in_midstream(1, Standing::Foreign), 0);
}

#[test]
fn only_a_connection_that_was_established_can_be_short_at_its_end() {
    for (is_established, gaps) in [(true, 1), (false, 0)] {
        let mut flows = Flows::new(16, Searches::default());
        see(&mut flows, Segment { syn: true, ack: None, ..segment(ISN, 0, 0) });
        if is_established {
            see(&mut flows, segment(ISN + 1, PEER_ISN, 1));
        }
        flows.observe_loss(1, 1, 2);
        // Another connection between the same ports. A late RST of the first may follow it.
        see(&mut flows, Segment { syn: true, ack: None, ..segment(ISN + 1_000_000, 0, 0) });
        flows.conclude();
        assert_eq!(flows.health().gaps, gaps);
    }
}
