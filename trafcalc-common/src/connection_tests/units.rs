//! Unit tests of the decisions.

use super::super::*;
use crate::tcp::state::*;

/// All pairs of states: only these few matter.
#[test]
fn every_change_of_state_means_what_it_should() {
    for old in 1..=12 {
        for new in 1..=12 {
            let expected = match (old, new) {
                (_, SYN_SENT) => Change::Opens,
                (LISTEN, CLOSE) => Change::Nothing,
                (_, CLOSE) => Change::Ends,
                (SYN_SENT, ESTABLISHED) | (SYN_RECV, _) => Change::Begins,
                _ => Change::Nothing,
            };
            assert_eq!(change(old, new), expected, "{old} to {new}");
        }
    }
    assert_eq!(change(SYN_SENT, SYN_RECV), Change::Nothing, "crossing SYNs are still opening");
    assert_eq!(change(SYN_RECV, CLOSE), Change::Ends, "fast open may have moved data");
    assert_eq!(change(ESTABLISHED, FIN_WAIT1), Change::Nothing);
}

#[test]
fn states_with_a_fin_of_our_own() {
    let with: Vec<u32> = (1..=12).filter(|&state| has_own_fin(state)).collect();
    assert_eq!(with, [FIN_WAIT1, FIN_WAIT2, LAST_ACK, CLOSING]);
}

/// The socket still has the numbers of an earlier connection, of which 100 bytes were never acknowledged.
#[test]
fn a_connect_that_fails_before_its_syn_moves_nothing() {
    for (write_seq, rcv_nxt) in [(70_000, 9), (1, 0), (1_100, u32::MAX)] {
        let sk = Numbers { snd_una: 1_000, snd_nxt: 1_100, write_seq, rcv_nxt, ..Numbers::default() };
        assert_eq!(unbegun(&sk, SYN_SENT, true), Tally::default());
    }
}

/// All `data` bytes in an unanswered SYN count.
#[test]
fn payload_in_an_unanswered_syn_counts() {
    for data in [0, 1, 2, 1_400_u32] {
        let end = u32::MAX.wrapping_add(1 + data);
        let bytes_sent = u64::from(data);
        let sk = Numbers { snd_una: u32::MAX, snd_nxt: end, write_seq: end, bytes_sent, ..Numbers::default() };
        assert_eq!(unbegun(&sk, SYN_SENT, true), Tally { sent: bytes_sent, received: 0 });
    }
}

/// The end of the handshake acknowledges the first answer of a server over fast open.
#[test]
fn a_first_answer_of_one_byte_over_fast_open_counts() {
    let sk = Numbers {
        snd_una: 11,
        snd_nxt: 11,
        write_seq: 11,
        bytes_acked: 1,
        bytes_sent: 1,
        rcv_nxt: 105,
        bytes_received: 4,
        state: SYN_RECV,
        ..Numbers::default()
    };
    let stream = begun(&sk, false);
    let to = position(&sk, &stream);
    assert_eq!((to.sent - stream.sent, to.received - stream.received), (1, 4));
    assert_eq!(unbegun(&sk, SYN_RECV, false), Tally { sent: 1, received: 4 });
}

/// A connection that is adopted in any phase: with our SYN acknowledged or not, with our FIN sent, with the peer's.
#[test]
fn only_what_moves_later_counts_of_a_connection_that_was_met() {
    for phase in 0..8_u64 {
        let (syn, own_fin, peer_fin) = (phase & 1, phase >> 1 & 1, phase >> 2 & 1);
        let mut sk = Numbers {
            state: if own_fin == 1 { FIN_WAIT1 } else { ESTABLISHED },
            bytes_sent: 500,
            bytes_acked: 400 + syn,
            bytes_received: 700 + peer_fin,
            snd_una: 5_400,
            snd_nxt: 5_500 + own_fin as u32,
            write_seq: 5_500 + own_fin as u32,
            rcv_nxt: 9_700 + peer_fin as u32,
            has_peer_fin: peer_fin == 1,
        };
        let stream = met(&sk);
        assert_eq!(position(&sk, &stream), Position { sent: stream.sent, received: stream.received });
        assert_eq!(stream.flags, Stream::LATE);
        let (more_sent, more_received) = (30 * (1 - own_fin), 50 * (1 - peer_fin));
        sk.bytes_sent += more_sent;
        sk.snd_nxt += more_sent as u32;
        sk.write_seq += more_sent as u32;
        sk.bytes_received += more_received;
        sk.rcv_nxt += more_received as u32;
        let last = last_position(&sk, &stream, sk.state);
        assert_eq!((last.sent - stream.sent, last.received - stream.received), (more_sent, more_received), "{phase}");
    }
}

/// A FIN that comes after the adoption is no payload either.
#[test]
fn fins_after_the_meeting_do_not_count() {
    let before = Numbers { state: ESTABLISHED, snd_una: 7, snd_nxt: 7, write_seq: 7, rcv_nxt: 3, ..Numbers::default() };
    let stream = met(&before);
    let after = Numbers {
        state: LAST_ACK,
        snd_nxt: 8,
        write_seq: 8,
        rcv_nxt: 4,
        bytes_received: 1,
        has_peer_fin: true,
        ..before
    };
    let last = last_position(&after, &stream, LAST_ACK);
    assert_eq!(last, Position { sent: stream.sent, received: stream.received });
}

/// For an adopted connection it is not known whether the kernel's total has our SYN. If it does, a retransmission, which moves only
/// `bytes_sent`, must not count as one byte.
#[test]
fn a_retransmission_after_the_meeting_does_not_count() {
    let mut sk = Numbers { snd_una: 501, snd_nxt: 501, write_seq: 501, bytes_acked: 501, ..Numbers::default() };
    sk.bytes_sent = 500;
    let stream = met(&sk);
    sk.bytes_sent += 100;
    assert_eq!(position(&sk, &stream).sent, stream.sent);
}

/// Before the first byte has arrived, no FIN can be among what arrived.
#[test]
fn a_flag_of_another_life_takes_nothing_back() {
    let sk = Numbers { rcv_nxt: 20, has_peer_fin: true, ..Numbers::default() };
    let stream = begun(&sk, false);
    assert_eq!(position(&sk, &stream).received, stream.received);
}

/// Whether our FIN was sent depends on the state that the socket leaves, whatever the state is meanwhile.
#[test]
fn the_last_position_goes_by_the_state_that_is_left() {
    let sk = Numbers { snd_nxt: 9, write_seq: 9, bytes_sent: 9, state: CLOSE, ..Numbers::default() };
    assert_eq!([FIN_WAIT1, ESTABLISHED].map(|old| last_position(&sk, &OPENING, old).sent), [8, 9]);
}

#[test]
fn a_look_never_goes_back_and_bytes_are_split_at_what_was_written() {
    assert_eq!((forward(5, 9), forward(9, 5), forward(u64::MAX, 1)), (4, 0, 2));
    assert_eq!([90, 100, 104, 110, 200].map(|number| ending_before(100, 10, number)), [0, 0, 4, 10, 10]);
    assert_eq!(ending_before((1 << 32) - 2, 10, 3), 5, "across the wrap");
    assert_eq!(ending_before(100, -1, 104), 0, "what is taken back");
    let most = (1 << 31) - 4_096 + (1 << 24);
    let end = u32::try_from(1_000 + most).unwrap();
    assert_eq!(ending_before(1_000, most, end), most, "the most that one call moves, and what moved before");
}

/// The opening end has its SYN after its base, and the accepting end has not.
#[test]
fn both_ends_of_a_connection_are_one_pair() {
    let client = Stream { sent_base: u32::MAX, received_base: 701, ..OPENING };
    let server = Stream { sent_base: 701, received_base: 0, ..OPENING };
    assert_eq!(pair(&client, true), pair(&server, false));
    assert_ne!(pair(&client, true), pair(&server, true));
}

#[test]
fn a_look_moves_what_it_is_about() {
    let (from, to) = (Stream { sent: 100, received: 50, ..OPENING }, Position { sent: 110, received: 57 });
    let sent = [104, 90, 200].map(Which::SentBefore);
    let received = [52, 40, 200].map(Which::ReceivedBefore);
    let written = [104, 90, 200].map(Which::WrittenBefore);
    let looks = [Which::Both].into_iter().chain(sent).chain(received).chain(written);
    let moved = looks.map(|which| moved(&from, &to, which)).map(|Tally { sent, received }| (sent, received));
    let sent = [(10, 7), (4, 0), (0, 0), (10, 0)];
    let received = [(0, 2), (0, 0), (0, 7)];
    let written = [(4, 7), (0, 7), (10, 7)];
    assert_eq!(moved.collect::<Vec<_>>(), [&sent[..], &received, &written].concat());
}

/// Both base numbers that distinguish connections matter, and a look that is late by a wrap is recognised.
#[test]
fn a_stream_belongs_to_one_connection() {
    let sk = Numbers { snd_una: 10, rcv_nxt: 20, ..Numbers::default() };
    let stream = begun(&sk, false);
    assert!(is_of(&stream, &sk));
    assert!(!is_of(&stream, &Numbers { snd_una: 11, ..sk }));
    assert!(!is_of(&stream, &Numbers { rcv_nxt: 21, ..sk }));
}

#[test]
fn a_note_is_good_for_its_connection_alone_and_never_takes_bytes_away() {
    let sk = Numbers {
        snd_una: 110,
        snd_nxt: 110,
        bytes_acked: 10,
        bytes_sent: 10,
        rcv_nxt: 57,
        bytes_received: 7,
        ..Numbers::default()
    };
    let noted = Stream { sent: 104, received: 53, ..begun(&sk, false) };
    assert!(goes_on(&noted, &sk));
    assert!(goes_on(&Stream { sent: 110, received: 57, ..noted }, &sk), "nothing has moved since");
    assert!(!goes_on(&Stream { sent: 111, ..noted }, &sk), "it is behind the note");
    assert!(!goes_on(&Stream { received: 1 << 40, ..noted }, &sk), "it is behind the note");
    assert!(!goes_on(&noted, &Numbers { snd_una: 111, ..sk }), "another connection");
    assert_ne!(note_key(1, 2), note_key(2, 1));
}

/// No look moves a cursor that is `NOWHERE` or not written yet.
#[test]
fn a_stream_that_is_half_written_or_half_ended_has_not_begun() {
    let whole = begun(&Numbers { snd_una: 10, rcv_nxt: 20, ..Numbers::default() }, false);
    assert!(has_begun(&whole));
    assert!(has_begun(&begun(&Numbers::default(), false)), "numbers may begin with 0");
    for cursor in [Stream::NOWHERE, 0] {
        assert!(!has_begun(&Stream { sent: cursor, ..whole }));
        assert!(!has_begun(&Stream { received: cursor, ..whole }));
    }
    assert!(!has_begun(&OPENING));
}
