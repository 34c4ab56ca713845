//! Tests of the decisions about a connection: against a model of a Linux socket, and one by one.

#[path = "connection_tests/driver.rs"]
mod driver;
#[path = "connection_tests/examples.rs"]
mod examples;
#[path = "connection_tests/model.rs"]
mod model;
#[path = "connection_tests/units.rs"]
mod units;

use driver::{Choice, Driver};
use model::{Leaves, Model, Moment, Op};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Plays a history, and checks at each moment that no more is credited than is true, except for one byte if a look comes between the
/// peer's FIN and its flag.
fn play(history: &[Moment], choices: &[Choice]) -> Driver {
    let mut driver = Driver::default();
    for at in 0..history.len() {
        driver.play(history, at, choices[at % choices.len()]);
        let (credited, truth) = (driver.total(), signed(history[at].truth));
        assert!(
            credited.0 <= truth.0 && credited.1 <= truth.1 + 1,
            "{credited:?} of {truth:?} at {at}: {:#?}",
            history[at]
        );
    }
    driver
}

fn signed(truth: (u64, u64)) -> (i64, i64) {
    (truth.0.cast_signed(), truth.1.cast_signed())
}

/// Runs operations until the end of the last connection.
fn history(ops: &[Op]) -> Vec<Moment> {
    let mut model = Model::new();
    for &op in ops.iter().chain(&[Op::Reset]) {
        model.run(op);
    }
    model.history
}

/// Checks that what is credited after the end is the truth, and that the audit agrees.
fn check(ops: &[Op], choices: &[Choice]) {
    let history = history(ops);
    let driver = play(&history, choices);
    assert_eq!(driver.total(), signed(history.last().unwrap().truth));
    assert_eq!(driver.mismatches, 0, "the audit disagrees");
}

/// What each owner moved. What moves before a connection begins belongs to the owner of the socket when it begins or ends.
fn truth_by_owner(history: &[Moment]) -> BTreeMap<u8, (i64, i64)> {
    let mut truth = BTreeMap::<u8, (i64, i64)>::new();
    let mut counted = (0, 0);
    let mut has_begun = false;
    for moment in history {
        let state = moment.numbers.state;
        let begins_or_ends = moment.next.is_some_and(|next| super::change(state, next) != super::Change::Nothing);
        has_begun = has_begun && !matches!(state, 2 | 3) || begins_or_ends;
        if has_begun && moment.truth != counted {
            let account = truth.entry(moment.owner).or_default();
            let now = signed(moment.truth);
            *account = (account.0 + now.0 - counted.0.cast_signed(), account.1 + now.1 - counted.1.cast_signed());
            counted = moment.truth;
        }
    }
    truth
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), 0_u32..3, (0_u32..3_000).prop_map(|back| u32::MAX - back)]
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![0_u32..4, 0_u32..3_000, 0_u32..1 << 29, Just(u32::MAX)]
}

fn payload() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0_u32), Just(1), Just(2), 3_u32..1_500]
}

/// Operations that begin a connection or change the life of a socket.
fn opening() -> impl Strategy<Value = Op> {
    let leaves = prop_oneof![Just(Leaves::No), Just(Leaves::Refused), Just(Leaves::Yes), Just(Leaves::Yes)];
    prop_oneof![
        4 => (number(), payload(), leaves).prop_map(|(isn, data, leaves)| Op::Connect(isn, data, leaves)),
        1 => number().prop_map(Op::Crossing),
        4 => (number(), any::<bool>(), payload()).prop_map(|(isn, all, data)| Op::SynAck(isn, all, data)),
        1 => (number(), payload()).prop_map(|(isn, data)| Op::SynAckFin(isn, data)),
        4 => (number(), number(), proptest::option::of(payload())).prop_map(|(isn, peer, data)| Op::Child(isn, peer, data)),
        3 => Just(Op::Handshake),
        2 => Just(Op::Listen),
        2 => Just(Op::Disconnect),
        1 => (number(), number()).prop_map(|(write_seq, rcv_nxt)| Op::Repair(write_seq, rcv_nxt)),
    ]
}

fn traffic() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => count().prop_map(Op::Write),
        4 => count().prop_map(Op::Transmit),
        2 => count().prop_map(Op::Retransmit),
        4 => count().prop_map(Op::Ack),
        4 => (0_u32..1 << 29).prop_map(Op::Arrive),
        1 => Just(Op::PeerFin),
        1 => Just(Op::Shutdown),
        1 => Just(Op::Reset),
        1 => (0_u64..1 << 40).prop_map(Op::Bulk),
        1 => count().prop_map(Op::RepairQueue),
        1 => count().prop_map(Op::RepairLeaves),
        1 => (0_u8..3).prop_map(Op::Give),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(prop_oneof![2 => opening(), 3 => traffic()], 1..60)
}

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    proptest::collection::vec(any::<Choice>(), 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    /// For every history and every choice of looks, what is credited in the end is what moved.
    #[test]
    fn what_is_credited_is_what_moved(ops in ops(), choices in choices()) {
        check(&ops, &choices);
    }

    /// If the driver looks before the owner changes, each owner gets what moved while it owned the socket.
    #[test]
    fn each_owner_gets_what_he_moved(ops in ops(), both in any::<bool>()) {
        let history = history(&ops);
        let mut credited = play(&history, &[if both { 0 } else { 2 }]).credited;
        let mut truth = truth_by_owner(&history);
        credited.retain(|_, moved| *moved != (0, 0));
        truth.retain(|_, moved| *moved != (0, 0));
        prop_assert_eq!(credited, truth);
    }
}
