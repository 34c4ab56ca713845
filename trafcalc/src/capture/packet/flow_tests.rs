use super::super::syns::RecentSyns;
use super::super::testing::segment;
use super::*;

fn bytes(sent: u64, received: u64) -> Bytes {
    Bytes { sent, received }
}

#[test]
fn a_first_segment_in_midstream_counts_with_its_payload() {
    let first = segment(5000, 900, 100);
    let mut flow = Flow::new(&first, 0);
    assert_eq!(flow.settle(&first, 7), bytes(100, 0));
    assert_eq!(flow.settle(&segment(5100, 950, 0), 8), bytes(0, 50));
}

#[test]
fn a_keepalive_seen_first_is_no_payload_byte() {
    let probe = segment(4999, 900, 0);
    let mut flow = Flow::new(&probe, 0);
    assert_eq!(flow.settle(&probe, 7), bytes(0, 0));
    assert_eq!(flow.settle(&probe, 8), bytes(0, 0));
    assert_eq!(flow.settle(&segment(5000, 900, 10), 9), bytes(10, 0));
}

#[test]
fn an_empty_first_segment_that_is_no_keepalive_loses_nothing() {
    let ack = segment(5000, 900, 0);
    let mut flow = Flow::new(&ack, 0);
    assert_eq!(flow.settle(&ack, 7), bytes(0, 0));
    assert_eq!(flow.settle(&segment(5000, 900, 1), 8), bytes(1, 0));
    assert_eq!(flow.settle(&segment(5001, 900, 1), 9), bytes(1, 0));
}

#[test]
fn only_an_answer_to_our_syn_says_where_the_peer_begins() {
    let mut syn = segment(1000, 0, 0);
    (syn.syn, syn.ack) = (true, None);
    let mut flow = Flow::new(&syn, 0);
    assert_eq!(flow.settle(&syn, 1), bytes(0, 0));
    let mut syn_ack = segment(70_000, 55, 0);
    syn_ack.syn = true;
    flow.peer_opened(&syn_ack);
    assert_eq!(flow.peer_isn, None);
    (syn_ack.seq, syn_ack.ack) = (80_000, Some(1001));
    flow.peer_opened(&syn_ack);
    assert_eq!(flow.peer_isn, Some(80_000));
    assert_eq!(flow.settle(&segment(1001, 80_011, 5), 2), bytes(5, 0), "it is no more than what the peer says");
}

#[test]
fn data_in_the_peers_syn_is_received_once_acknowledged() {
    let mut syn = segment(3000, 0, 200);
    (syn.syn, syn.ack) = (true, None);
    let mut syn_ack = segment(9000, 3201, 0);
    syn_ack.syn = true;
    let mut syns = RecentSyns::default();
    syns.note(&syn);
    assert_eq!(syns.acknowledged_with_data(&syn_ack), Some(3000));
    let mut flow = Flow::new(&syn_ack, 0);
    flow.begin_behind_data_syn(3000);
    assert_eq!(flow.settle(&syn_ack, 2), bytes(0, 200));
    assert_eq!(flow.settle(&segment(9001, 3201, 30), 3), bytes(30, 0));
}

#[test]
fn an_adopted_connection_counts_from_its_first_segment() {
    let mut flow = Flow::adopted(Holder::User(1000), 0);
    assert_eq!(flow.settle(&segment(4999, 900, 0), 7), bytes(0, 0), "a keep-alive");
    assert_eq!(flow.settle(&segment(5000, 950, 10), 8), bytes(10, 50));
}

#[test]
fn data_in_a_syn_counts_no_further_than_it_goes() {
    let mut syn = segment(3000, 0, 200);
    (syn.syn, syn.ack) = (true, None);
    let mut syns = RecentSyns::default();
    syns.note(&syn);
    for ack in [3001, 3202, 3001 + (1 << 30), 2000] {
        let mut syn_ack = segment(9000, ack, 0);
        syn_ack.syn = true;
        assert_eq!(syns.acknowledged_with_data(&syn_ack), None, "{ack}");
    }
}

#[test]
fn of_two_syn_acks_that_differ_none_is_believed() {
    let mut syn = segment(1000, 0, 0);
    (syn.syn, syn.ack) = (true, None);
    let mut flow = Flow::new(&syn, 0);
    assert_eq!(flow.settle(&syn, 1), bytes(0, 0));
    for seq in [80_000, 80_000 - 10_000] {
        let mut syn_ack = segment(seq, 1001, 0);
        syn_ack.syn = true;
        flow.peer_opened(&syn_ack);
    }
    assert_eq!(flow.settle(&segment(1001, 80_001, 0), 2), bytes(0, 0));
    assert_eq!(flow.peer_isn, None);
}

#[test]
fn of_two_syns_that_explain_an_acknowledgement_the_one_with_data_is_not_believed() {
    let mut syn = segment(3000, 0, 200);
    (syn.syn, syn.ack) = (true, None);
    let mut syn_ack = segment(9000, 3101, 0);
    syn_ack.syn = true;
    let mut syns = RecentSyns::default();
    syns.note(&syn);
    assert_eq!(syns.acknowledged_with_data(&syn_ack), Some(3000));
    (syn.seq, syn.payload_bytes) = (3100, 0);
    syns.note(&syn);
    assert_eq!(syns.acknowledged_with_data(&syn_ack), None);
}
