use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::super::lifetime::{GUESS_MS, IDLE_CHECK_MS};
use super::super::testing::{segment, show_rings};
use super::super::totals::Totals;
use super::*;

const UID: u32 = 1000;
/// Longer than a replaced connection is kept.
const KEPT_FOR_MS: u64 = 5_000;

/// A table of connections with its clocks.
struct Bench {
    flows: Flows,
    time_ns: u64,
    now_ms: u64,
}

impl Bench {
    fn new(max_connections: usize) -> Self {
        Self { flows: Flows::new(max_connections, Searches::default()), time_ns: 1, now_ms: 0 }
    }

    fn see(&mut self, segment: Segment) {
        self.time_ns += 1;
        self.flows.observe(&Sighting { segment, time_ns: self.time_ns, interface: 2 }, self.now_ms);
    }

    fn learn(&mut self, question: Question, standing: Standing) {
        let finding = Finding { question, standing, inode: 0, listener: None, forwards: false };
        self.flows.learn(&finding, self.now_ms);
    }

    fn credits(&mut self) -> Vec<(Owner, u64, u64)> {
        let mut credits: Vec<_> =
            self.flows.take_credits().into_iter().map(|(owner, bytes)| (owner, bytes.sent, bytes.received)).collect();
        credits.sort_unstable();
        credits
    }
}

fn syn(seq: u32) -> Segment {
    Segment { syn: true, ack: None, ..segment(seq, 0, 0) }
}

fn syn_ack(seq: u32, ack: u32) -> Segment {
    Segment { syn: true, ..segment(seq, ack, 0) }
}

fn incoming(segment: Segment) -> Segment {
    Segment { direction: Direction::Incoming, ..segment }
}

fn fin(segment: Segment) -> Segment {
    Segment { fin: true, ..segment }
}

fn question_about(segment: &Segment) -> Question {
    Question { endpoints: segment.endpoints, birth: segment.seq, interface: 2 }
}

fn with_port(segment: Segment, local_port: u16) -> Segment {
    Segment { endpoints: Endpoints { local_port, ..segment.endpoints }, ..segment }
}

/// A whole connection that this host opens: `sent` and `received` payload bytes, closed by both.
fn short_connection(bench: &mut Bench, local_port: u16, sent: u32, received: u32) {
    let mut see = |segment| bench.see(with_port(segment, local_port));
    see(syn(100));
    see(incoming(syn_ack(500, 101)));
    see(segment(101, 501, sent));
    see(incoming(fin(segment(501, 101 + sent, received))));
    see(fin(segment(101 + sent, 502 + received, 0)));
}

/// Answers every question about totals with `received` bytes, and a FIN if one came.
fn tell_totals(flows: &mut Flows, received: u64, has_received_fin: bool, told_ns: u64) {
    for question in flows.take_doubts(usize::MAX) {
        let received = received + u64::from(has_received_fin);
        let (cookie, acked, queued, is_closed, has_sent_fin) = (1, 0, 0, false, false);
        let totals = Totals { cookie, acked, queued, received, is_closed, has_sent_fin, has_received_fin, quiet_ms: 0 };
        flows.learn_totals(&question, &totals, told_ns);
    }
}

/// What happens on a connection, in order.
#[derive(Clone, Debug)]
enum Step {
    Send { bytes: u32, retransmitted: bool },
    Receive { bytes: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..100_000_u32, any::<bool>()).prop_map(|(bytes, retransmitted)| Step::Send { bytes, retransmitted }),
        (1..100_000_u32).prop_map(|bytes| Step::Receive { bytes }),
    ]
}

proptest! {
    /// For any loss in the bulk ring, and however late the rest comes. If segments are lost, the kernel is asked.
    #[test]
    fn a_connection_closed_in_order_is_right_to_the_byte(
        isn: u32, peer_isn: u32, passive: bool, we_close_first: bool,
        steps in prop::collection::vec(step(), 0..30),
        losses in prop_oneof![Just(vec![false; 64]), prop::collection::vec(any::<bool>(), 64)],
    ) {
        let mut bench = Bench::new(16);
        let first = if passive { syn_ack(isn, peer_isn.wrapping_add(1)) } else { syn(isn) };
        let (mut next, mut ack) = (isn.wrapping_add(1), peer_isn.wrapping_add(1));
        let (mut sent, mut received) = (0_u64, 0_u64);
        let mut bulk = if passive { Vec::new() } else { vec![segment(next, ack, 0)] };
        for step in steps {
            match step {
                Step::Send { bytes, retransmitted } => {
                    bulk.push(segment(next, ack, bytes));
                    if retransmitted {
                        bulk.push(segment(next, ack, bytes / 2));
                    }
                    next = next.wrapping_add(bytes);
                    sent += u64::from(bytes);
                }
                Step::Receive { bytes } => {
                    ack = ack.wrapping_add(bytes);
                    received += u64::from(bytes);
                    bulk.push(segment(next, ack, 0));
                }
            }
        }
        let sent_segments = bulk.len();
        let loses = losses.iter().take(sent_segments + 1).any(|lost| *lost);
        bench.flows = bench.flows.losing_silently(loses);
        let captured: Vec<_> = bulk.iter().zip(&losses).filter(|(_, lost)| !**lost).map(|(seen, _)| *seen).collect();
        let mut time = || { bench.time_ns += 1; bench.time_ns };
        let mut anchors = vec![(time(), first)];
        if !passive {
            anchors.push((time(), incoming(syn_ack(peer_isn, isn.wrapping_add(1)))));
        }
        let bulk: Vec<_> = captured.into_iter().map(|segment| (time(), segment)).collect();
        let peer_fin = incoming(fin(segment(ack, next, 0)));
        let fins = if we_close_first {
            [fin(segment(next, ack, 0)), peer_fin]
        } else {
            [peer_fin, fin(segment(next, ack.wrapping_add(1), 0))]
        };
        let fins = fins.map(|fin| (time(), fin));
        let last_ack = (time(), segment(next.wrapping_add(1), ack.wrapping_add(1), 0));
        let last_ack_ns = last_ack.0;
        let last_ack: Vec<_> = [last_ack].into_iter().filter(|_| we_close_first && !losses[sent_segments]).collect();
        show_rings(&mut bench.flows, &anchors, &bulk);
        tell_totals(&mut bench.flows, received, false, fins[0].0 - 1);
        show_rings(&mut bench.flows, &fins, &last_ack);
        tell_totals(&mut bench.flows, received, true, last_ack_ns);
        bench.learn(question_about(&first), Standing::Owned(UID));
        for question in bench.flows.open_questions() {
            prop_assert!(we_close_first, "our FIN acknowledged everything already");
            bench.learn(question, Standing::TimeWait);
        }
        bench.flows.conclude();
        prop_assert_eq!((bench.flows.health().refused_movements, bench.flows.health().gaps), (0, 0));
        let expected = if sent + received > 0 { vec![(Owner::user(UID), sent, received)] } else { Vec::new() };
        prop_assert_eq!(bench.credits(), expected);
    }

    #[test]
    fn what_comes_from_the_net_credits_nothing(forged in prop::collection::vec((any::<(u32, u32)>(), 0..8_u8, 0..9000_u32), 0..50)) {
        let mut bench = Bench::new(16);
        bench.see(syn(100));
        bench.learn(question_about(&syn(100)), Standing::Owned(UID));
        bench.see(segment(101, 501, 10));
        let _ = bench.credits();
        for ((seq, ack), flags, payload) in forged {
            let mut segment = incoming(segment(seq, ack, payload));
            (segment.syn, segment.fin, segment.rst) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
            bench.see(segment);
        }
        prop_assert_eq!(bench.credits(), vec![]);
        bench.see(segment(111, 601, 10));
        bench.see(segment(121, 601, 0));
        prop_assert_eq!(bench.credits(), vec![(Owner::user(UID), 10, 100)]);
    }

    #[test]
    fn a_forged_fin_credits_nothing_in_time_wait(forged in prop::collection::vec((any::<u32>(), 0..9000_u32), 1..20)) {
        let mut bench = Bench::new(16);
        short_connection(&mut bench, 50_000, 10, 20);
        bench.learn(question_about(&syn(100)), Standing::Owned(UID));
        for (seq, payload) in forged {
            bench.see(incoming(fin(segment(seq, 112, payload))));
            bench.learn(question_about(&syn(100)), Standing::TimeWait);
        }
        prop_assert_eq!(bench.credits(), vec![(Owner::user(UID), 10, 20)]);
    }

    #[test]
    fn of_fins_that_differ_none_is_believed_without_an_acknowledgement(forged in 502..1_000_000_u32) {
        let mut bench = Bench::new(16);
        bench.see(syn(100));
        bench.see(incoming(syn_ack(500, 101)));
        bench.see(fin(segment(101, 501, 0)));
        bench.learn(question_about(&syn(100)), Standing::Owned(UID));
        bench.see(incoming(fin(segment(501, 102, 0))));
        bench.see(incoming(fin(segment(forged, 102, 0))));
        bench.learn(question_about(&syn(100)), Standing::TimeWait);
        prop_assert_eq!(bench.credits(), vec![]);
    }
}

#[test]
fn a_wall_clock_that_is_set_back_stops_no_count() {
    let mut bench = Bench::new(16);
    bench.time_ns = 1 << 50;
    bench.see(syn(100));
    bench.learn(question_about(&syn(100)), Standing::Owned(UID));
    bench.time_ns = 1;
    bench.now_ms = 5_000;
    bench.see(segment(101, 501, 10));
    assert_eq!(bench.credits(), vec![(Owner::user(UID), 10, 0)]);
}

#[test]
fn a_server_that_takes_over_a_port_is_not_taken_for_the_one_before() {
    let mut bench = Bench::new(16);
    let finding = |seq, standing, listener| Finding {
        inode: 0,
        question: question_about(&syn_ack(seq, 501)),
        standing,
        listener: Some(listener),
        forwards: false,
    };
    bench.see(syn_ack(100, 501));
    bench.flows.learn(&finding(100, Standing::Unaccepted, UID), 0);
    bench.flows.learn(&finding(100, Standing::Owned(UID), UID), 0);
    bench.see(syn_ack(9000, 501));
    bench.see(segment(9001, 501, 10));
    bench.flows.learn(&finding(9000, Standing::Gone, UID + 1), 0);
    bench.flows.sweep(GUESS_MS);
    assert_eq!(bench.credits(), vec![(Owner::user(UID + 1), 10, 0)]);
}

#[test]
fn what_the_net_says_makes_no_connection_vanish_from_a_full_table() {
    let mut bench = Bench::new(1);
    bench.see(syn(100));
    bench.learn(question_about(&syn(100)), Standing::Owned(UID));
    bench.see(segment(101, 501, 10));
    bench.see(incoming(Segment { rst: true, ..segment(1, 1, 0) }));
    bench.see(with_port(syn(100), 7));
    bench.see(segment(111, 501, 10));
    assert_eq!(bench.credits(), vec![(Owner::user(UID), 20, 0)]);
    assert_eq!(bench.flows.health().unfollowed_connections, 1);
}

#[test]
fn bytes_wait_for_their_owner() {
    let mut bench = Bench::new(16);
    bench.see(syn(100));
    bench.see(segment(101, 501, 10));
    bench.flows.sweep(0);
    assert_eq!((bench.credits(), bench.flows.health().pending_bytes), (vec![], 10));
    bench.learn(question_about(&syn(100)), Standing::Unaccepted);
    assert_eq!(bench.credits(), vec![]);
    bench.learn(question_about(&syn(100)), Standing::Owned(UID));
    assert_eq!(bench.credits(), vec![(Owner::user(UID), 10, 0)]);
}

#[test]
fn an_answer_about_an_earlier_connection_is_not_taken_for_the_later_one() {
    let mut bench = Bench::new(16);
    short_connection(&mut bench, 50_000, 10, 20);
    bench.see(syn(7000));
    bench.see(segment(7001, 1, 5));
    bench.learn(question_about(&syn(100)), Standing::Owned(UID));
    bench.flows.conclude();
    assert_eq!(bench.credits(), vec![(Owner::UNATTRIBUTED, 15, 20)]);
}

#[test]
fn a_connection_ends_behind_its_last_segment_however_soon_another_follows() {
    let mut bench = Bench::new(16);
    let reset = Segment { rst: true, ..segment(131, 601, 0) };
    let anchors =
        [(1, syn(100)), (2, incoming(syn_ack(500, 101))), (5, reset), (6, syn(70)), (9, fin(segment(111, 41, 0)))];
    let bulk =
        [(3, segment(101, 501, 30)), (4, segment(131, 601, 0)), (7, segment(71, 31, 40)), (8, segment(111, 41, 0))];
    show_rings(&mut bench.flows, &anchors, &bulk);
    bench.learn(question_about(&syn(70)), Standing::Owned(UID));
    assert_eq!(bench.credits(), vec![(Owner::user(UID), 40, 10), (Owner::UNATTRIBUTED, 30, 100)]);
}

#[test]
fn a_fin_that_is_known_before_the_first_acknowledgement_is_no_byte() {
    let mut bench = Bench::new(8);
    let anchors = [
        (1_000, syn(100)),
        (2_000, incoming(syn_ack(500, 101))),
        (9_000, incoming(fin(segment(501, 131, 20)))),
        (10_000, fin(segment(131, 522, 0))),
    ];
    let bulk = [(3_000, segment(101, 501, 30)), (9_500, segment(131, 522, 0))];
    show_rings(&mut bench.flows, &anchors, &bulk);
    bench.flows.conclude();
    assert_eq!(bench.credits(), [(Owner::UNATTRIBUTED, 30, 20)]);
}

/// The kernel releases the port before it sends the RST.
#[test]
fn a_reset_that_passes_behind_the_syn_of_the_next_connection_is_the_former_ones() {
    let mut bench = Bench::new(16);
    bench.see(syn(100));
    bench.learn(question_about(&syn(100)), Standing::Owned(UID));
    bench.see(segment(101, 501, 10));
    bench.see(syn(9_000));
    bench.learn(question_about(&syn(9_000)), Standing::Owned(UID + 1));
    bench.see(Segment { rst: true, ..segment(116, 601, 0) });
    bench.see(segment(9_001, 70_001, 20));
    bench.see(segment(9_021, 70_041, 0));
    assert_eq!(bench.credits(), vec![(Owner::user(UID), 15, 100), (Owner::user(UID + 1), 20, 40)]);
    bench.see(Segment { rst: true, ..segment(9_021, 70_042, 0) });
    bench.flows.sweep(KEPT_FOR_MS);
    assert_eq!(bench.credits(), vec![(Owner::user(UID + 1), 0, 1)]);
}

#[test]
fn a_later_connection_whose_syn_was_lost_is_not_measured_from_the_earlier_ones_end() {
    for (seq, ack) in [(900_000_000, 7), (7, 900_000_000), (3_000_000_000, 600), (200, 600)] {
        let mut bench = Bench::new(16);
        short_connection(&mut bench, 50_000, 10, 20);
        bench.see(segment(seq, ack, 30));
        bench.see(segment(seq + 30, ack + 5, 30));
        bench.flows.conclude();
        assert_eq!(bench.credits(), vec![(Owner::UNATTRIBUTED, 10 + 60, 20 + 5)], "{seq} {ack}");
    }
}

#[test]
fn a_reset_that_answers_a_stray_segment_moves_nothing() {
    let mut bench = Bench::new(16);
    bench.see(syn(100));
    bench.learn(question_about(&syn(100)), Standing::Owned(UID));
    bench.see(segment(101, 501, 0));
    bench.see(Segment { rst: true, ack: None, ..segment(90_000, 0, 0) });
    bench.see(Segment { rst: true, ..segment(0, 90_000, 0) });
    assert_eq!(bench.credits(), vec![]);
    bench.see(Segment { rst: true, ..segment(151, 601, 0) });
    assert_eq!(bench.credits(), vec![(Owner::user(UID), 50, 100)]);
}

#[test]
fn a_server_connection_gone_too_soon_goes_to_who_served_its_port() {
    let mut bench = Bench::new(16);
    let served = |bench: &mut Bench, peer_port, standing| {
        let from = |segment: Segment| Segment {
            endpoints: Endpoints { remote_port: peer_port, ..segment.endpoints },
            ..segment
        };
        bench.see(from(syn_ack(100, 501)));
        bench.see(from(segment(101, 501, 10)));
        let finding = Finding {
            inode: 0,
            question: question_about(&from(syn_ack(100, 501))),
            standing,
            listener: Some(0),
            forwards: false,
        };
        bench.flows.learn(&Finding { standing: Standing::Unaccepted, ..finding }, bench.now_ms);
        bench.flows.learn(&finding, bench.now_ms);
    };
    served(&mut bench, 1, Standing::Gone);
    bench.flows.sweep(GUESS_MS);
    assert_eq!(bench.credits(), vec![(Owner::user(0), 10, 0)], "the listener's user for want of better");
    served(&mut bench, 2, Standing::Owned(UID));
    served(&mut bench, 3, Standing::Gone);
    bench.flows.sweep(2 * GUESS_MS);
    assert_eq!(bench.credits(), vec![(Owner::user(UID), 20, 0)]);
    assert_eq!(bench.flows.health().listener_bytes, 20);
    served(&mut bench, 4, Standing::Owned(UID + 1));
    served(&mut bench, 5, Standing::Gone);
    bench.flows.sweep(3 * GUESS_MS);
    assert_eq!(bench.credits(), vec![(Owner::user(UID + 1), 10, 0), (Owner::UNATTRIBUTED, 10, 0)]);
}

#[test]
fn a_client_connection_gone_too_soon_is_unattributed() {
    let mut bench = Bench::new(16);
    short_connection(&mut bench, 50_000, 10, 20);
    let finding = Finding {
        inode: 0,
        question: question_about(&syn(100)),
        standing: Standing::TimeWait,
        listener: Some(0),
        forwards: false,
    };
    bench.flows.learn(&finding, 0);
    bench.flows.sweep(GUESS_MS);
    assert_eq!(bench.credits(), vec![(Owner::UNATTRIBUTED, 10, 20)]);
}

#[test]
fn forwarded_connections_are_nobodys() {
    let mut bench = Bench::new(16);
    bench.see(syn(100));
    bench.see(segment(101, 501, 10));
    bench.learn(question_about(&syn(100)), Standing::Foreign);
    bench.see(segment(111, 501, 10));
    bench.flows.conclude();
    assert_eq!(bench.credits(), vec![]);
}

#[test]
fn a_connection_forwarded_with_a_translated_address_is_nobodys() {
    let mut bench = Bench::new(16);
    let lan = Endpoints {
        local: Ipv4Addr::new(203, 0, 113, 9).to_ipv6_mapped(),
        remote: Ipv4Addr::new(192, 168, 0, 5).to_ipv6_mapped(),
        local_port: 443,
        remote_port: 33_000,
    };
    bench.see(incoming(Segment { endpoints: lan, ..syn(100) }));
    bench.see(syn(100));
    bench.see(segment(101, 501, 10));
    bench.learn(question_about(&syn(100)), Standing::Gone);
    bench.flows.conclude();
    assert_eq!(bench.credits(), vec![]);
}

#[test]
fn a_connection_opened_with_a_syn_cookie_finds_its_owner() {
    let mut bench = Bench::new(16);
    bench.see(syn_ack(100, 501));
    bench.learn(question_about(&syn_ack(100, 501)), Standing::Gone);
    bench.see(segment(101, 521, 0));
    assert_eq!(bench.flows.take_questions(bench.now_ms), vec![question_about(&syn_ack(100, 501))]);
    bench.learn(question_about(&syn_ack(100, 501)), Standing::Owned(UID));
    assert_eq!(bench.credits(), vec![(Owner::user(UID), 0, 20)]);
}

#[test]
fn a_full_table_makes_room_and_stays_exact() {
    let mut bench = Bench::new(64);
    for port in 0..2000 {
        short_connection(&mut bench, port, 10, 20);
        // Its segment is retransmitted.
        bench.see(with_port(segment(101, 501, 10), port));
    }
    bench.flows.conclude();
    assert_eq!(bench.credits(), vec![(Owner::UNATTRIBUTED, 20_000, 40_000)]);
    assert_eq!(bench.flows.health().overflow_bytes, 0);
}

#[test]
fn without_room_bytes_go_to_other_and_health_says_so() {
    let mut bench = Bench::new(4);
    for port in 0..6 {
        bench.see(with_port(syn(100), port));
        bench.see(with_port(segment(101, 501, 10), port));
        bench.see(with_port(segment(101, 501, 10), port));
        bench.see(with_port(segment(111, 506, 0), port));
        bench.learn(question_about(&with_port(syn(100), port)), Standing::Owned(UID));
    }
    bench.flows.conclude();
    let other = bench.credits();
    assert_eq!(other, vec![(Owner::user(UID), 40, 20), (Owner::OTHER, 20, 10)]);
    assert_eq!(bench.flows.health().overflow_bytes, 30);
}

#[test]
fn a_syn_that_the_owner_thread_missed_is_asked_about() {
    let mut bench = Bench::new(16);
    bench.see(syn(100));
    bench.see(with_port(syn(100), 7));
    bench.learn(question_about(&syn(100)), Standing::Owned(UID));
    assert_eq!(bench.flows.take_questions(0), vec![]);
    assert_eq!(bench.flows.take_questions(UNANSWERED_MS), vec![question_about(&with_port(syn(100), 7))]);
}

#[test]
fn a_connection_is_forgotten_only_when_the_kernel_forgot_it() {
    let mut bench = Bench::new(16);
    bench.see(syn(100));
    bench.see(segment(101, 501, 10));
    bench.learn(question_about(&syn(100)), Standing::Owned(UID));
    bench.now_ms = IDLE_CHECK_MS;
    bench.flows.sweep(bench.now_ms);
    assert_eq!(bench.flows.take_questions(bench.now_ms), vec![question_about(&syn(100))]);
    bench.learn(question_about(&syn(100)), Standing::Owned(UID));
    bench.see(segment(111, 601, 0));
    assert_eq!(bench.credits(), vec![(Owner::user(UID), 10, 100)]);
    bench.now_ms *= 2;
    bench.flows.observe_loss(1, 0, bench.time_ns + 1);
    bench.learn(question_about(&syn(100)), Standing::Gone);
    bench.flows.sweep(bench.now_ms);
    assert!(bench.flows.table.is_empty());
    assert_eq!(bench.flows.health().gaps, 1);
}

/// The kernel finds a socket that is bound to an interface only with that interface, as for link-local addresses.
#[test]
fn a_connection_from_before_the_start_is_asked_about_where_its_socket_is_bound() {
    let mut bench = Bench::new(8);
    let sent = segment(101, 501, 10);
    bench.flows.adopt(sent.endpoints, 7, UID);
    bench.see(sent);
    bench.flows.sweep(IDLE_CHECK_MS);
    let question = Question { endpoints: sent.endpoints, birth: sent.seq, interface: 7 };
    assert_eq!(bench.flows.take_questions(IDLE_CHECK_MS), [question]);
}

#[test]
fn a_user_who_comes_later_is_counted_from_then_on_also_on_an_open_connection() {
    use crate::capture::{By, Wanted};

    let searches = Searches::new(By::USER, &Wanted { users_to_come: 1, ..Wanted::default() });
    let mut bench = Bench { flows: Flows::new(16, searches), time_ns: 1, now_ms: 0 };
    let (open, over) = (with_port(syn(100), 7001), with_port(syn(100), 7002));
    for first in [open, over] {
        bench.see(first);
        bench.learn(question_about(&first), Standing::Owned(UID));
        bench.see(with_port(segment(101, 501, 40), first.endpoints.local_port));
    }
    bench.learn(question_about(&over), Standing::Gone);
    bench.flows.take_questions(bench.now_ms);
    assert_eq!(bench.credits(), []);
    bench.flows.want(&[UID]);
    assert_eq!(bench.flows.take_questions(bench.now_ms), [question_about(&open)], "the other one moves no more");
    bench.see(with_port(segment(141, 501, 60), 7001));
    bench.learn(question_about(&open), Standing::Owned(UID));
    bench.see(with_port(segment(201, 501, 1), 7001));
    assert_eq!(bench.credits(), [(Owner::user(UID), 61, 0)]);
}

#[test]
fn a_late_reset_is_of_the_connection_that_stands_where_it_says() {
    const MIB: u32 = 1 << 20;
    let mut bench = Bench::new(16);
    bench.see(syn(100));
    bench.see(segment(101, 501, MIB));
    bench.see(syn(5000));
    bench.see(Segment { rst: true, ..segment(101 + MIB, 501, 0) });
    let latest = bench.flows.table.values().next().unwrap();
    assert!(!latest.aborted && bench.flows.followed.is_empty());
    assert_eq!(latest.moved, Bytes::default());
}

#[test]
fn a_flood_of_packets_that_cannot_be_read_is_not_looked_up_one_by_one() {
    let mut bench = Bench::new(16);
    let mut asked = 0;
    let mut flood = |flows: &mut Flows| {
        for number in 0..3 * u128::from(MAX_UNREAD_ASKED) {
            flows.observe_unread((number.into(), 1.into()), 100, |_| {
                asked += 1;
                false
            });
        }
    };
    flood(&mut bench.flows);
    bench.flows.sweep(1_000);
    flood(&mut bench.flows);
    assert_eq!(asked, 2 * MAX_UNREAD_ASKED);
    assert_eq!((bench.flows.health().unread_bytes, bench.flows.health().gaps), (0, 0));
}
