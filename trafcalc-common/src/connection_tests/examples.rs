//! Histories that deserve a name of their own. The property tests find others.

use super::model::{Leaves, Op};
use super::{check, history, play};

const CONNECT: Op = Op::Connect(u32::MAX - 5, 0, Leaves::Yes);

/// Looks everywhere and nowhere, both copies and one of them.
const CHOICES: [u16; 6] = [0, 1, 2, 4, 9, 0xfff9];

fn check_all(ops: &[Op]) {
    for choice in CHOICES {
        check(ops, &[choice]);
    }
}

#[test]
fn payload_in_a_syn_that_is_acknowledged_with_it_or_not() {
    for data in [1, 2, 1_400] {
        let connect = Op::Connect(7, data, Leaves::Yes);
        check_all(&[connect]);
        for all in [false, true] {
            check_all(&[connect, Op::SynAck(u32::MAX, all, 3), Op::Retransmit(u32::MAX), Op::Ack(1), Op::Shutdown]);
        }
        check_all(&[connect, Op::Crossing(9)]);
        check_all(&[connect, Op::Crossing(9), Op::Shutdown]);
        check_all(&[connect, Op::Crossing(9), Op::Handshake, Op::Arrive(5)]);
    }
}

#[test]
fn a_reset_with_untransmitted_and_unacknowledged_payload() {
    check_all(&[CONNECT, Op::SynAck(1, true, 0), Op::Write(5_000), Op::Transmit(2_000), Op::Ack(300), Op::Shutdown]);
}

#[test]
fn transfers_beyond_4_gib_in_one_step() {
    check_all(&[CONNECT, Op::SynAck(1, true, 0), Op::Bulk(10 << 32), Op::Write(3), Op::Transmit(3), Op::Bulk(1 << 31)]);
}

#[test]
fn a_socket_whose_life_begins_again() {
    let first = [CONNECT, Op::SynAck(1, true, 0), Op::Write(90), Op::Transmit(90), Op::PeerFin, Op::Disconnect];
    for last in [Op::Connect(4, 0, Leaves::No), Op::Connect(4, 9, Leaves::Refused), CONNECT, Op::Listen] {
        check_all(&[&first[..], &[last, Op::SynAck(2, true, 0), Op::Arrive(7)]].concat());
    }
}

#[test]
fn what_is_queued_under_repair_counts_when_it_leaves() {
    let begun = [Op::Repair(u32::MAX, 77), CONNECT, Op::RepairQueue(1_000)];
    check_all(&begun);
    check_all(&[&begun[..], &[Op::RepairLeaves(400), Op::Ack(500), Op::Arrive(4)]].concat());
    check_all(&[&begun[..], &[Op::RepairLeaves(1_000), Op::Ack(1_000), Op::Shutdown, Op::Transmit(0)]].concat());
}

#[test]
fn a_server_that_answers_before_the_handshake_is_over() {
    let begun = [Op::Child(u32::MAX, u32::MAX, Some(2)), Op::Write(1), Op::Transmit(1)];
    check_all(&begun);
    check_all(&[&begun[..], &[Op::Handshake, Op::PeerFin, Op::Shutdown, Op::Transmit(0), Op::Ack(1)]].concat());
    check_all(&[&begun[..], &[Op::Shutdown, Op::Transmit(0), Op::Ack(2), Op::PeerFin]].concat());
}

/// The FIN moves the sequence number and not the total, so the stream is recognised by the flag as well.
#[test]
fn a_syn_ack_with_payload_and_a_fin() {
    for data in [0, 1, 2, 1_400] {
        let begun = [Op::Connect(7, 3, Leaves::Yes), Op::SynAckFin(u32::MAX, data)];
        check_all(&begun);
        check_all(&[&begun[..], &[Op::Write(5), Op::Transmit(5), Op::Shutdown, Op::Transmit(0), Op::Ack(6)]].concat());
    }
}

/// The end takes back what a look credited between the peer's FIN and its flag.
#[test]
fn a_fin_that_a_look_takes_for_payload_is_taken_back() {
    let history = history(&[CONNECT, Op::SynAck(1, true, 0), Op::Arrive(10), Op::PeerFin]);
    let counted = (0..history.len()).map(|end| play(&history[..=end], &[1]).total().1).max();
    assert_eq!(counted, Some(11));
    assert_eq!(play(&history, &[1]).total(), (0, 10));
}
