use proptest::prelude::*;

use super::super::finding::{Finding, Question, Standing};
use super::super::flows::Sighting;
use super::super::searches::Searches;
use super::super::segment::Direction;
use super::super::testing::{capture_settings, segment};
use super::*;
use crate::capture::Owner;

const UID: u32 = 1000;
const COOKIE: u64 = 7;
const GIB: u64 = 1 << 30;

/// The socket of a connection that this host opened. Offsets count from after the SYNs and include FINs, as the kernel's do.
#[derive(Clone, Copy, Debug)]
struct Socket {
    sent_base: u32,
    received_base: u32,
    written: u64,
    transmitted: u64,
    acked: u64,
    received: u64,
    is_closed: bool,
    is_closed_by_peer: bool,
}

impl Socket {
    const fn new(sent_base: u32, received_base: u32) -> Self {
        let (written, transmitted, acked, received) = (0, 0, 0, 0);
        let (is_closed, is_closed_by_peer) = (false, false);
        Self { sent_base, received_base, written, transmitted, acked, received, is_closed, is_closed_by_peer }
    }

    const fn has_sent_fin(&self) -> bool {
        self.is_closed && self.transmitted == self.written
    }

    fn payload(&self) -> Bytes {
        Bytes {
            sent: self.transmitted - u64::from(self.has_sent_fin()),
            received: self.received - u64::from(self.is_closed_by_peer),
        }
    }

    fn totals(&self) -> Totals {
        Totals {
            cookie: COOKIE,
            acked: self.acked + 1,
            queued: u32::try_from(self.written - self.acked).unwrap(),
            received: self.received,
            is_closed: self.is_closed,
            has_sent_fin: self.has_sent_fin(),
            has_received_fin: self.is_closed_by_peer,
            quiet_ms: 0,
        }
    }

    /// A segment from `from` up to its position.
    fn outgoing(&self, from: u64) -> Segment {
        let fin = self.has_sent_fin() && from < self.transmitted;
        let payload = self.transmitted - from - u64::from(fin);
        let seq = self.sent_base.wrapping_add(low(from));
        let ack = self.received_base.wrapping_add(low(self.received));
        Segment { fin, ..segment(seq, ack, u32::try_from(payload).unwrap()) }
    }

    fn incoming_fin(&self, bytes: u64) -> Segment {
        let seq = self.received_base.wrapping_add(low(self.received));
        let data = segment(seq, self.sent_base, u32::try_from(bytes).unwrap());
        Segment { direction: Direction::Incoming, fin: true, ..data }
    }

    /// Does a step; returns what passes the capture.
    fn go(&mut self, step: Step) -> Option<Segment> {
        let before = self.transmitted;
        match step {
            Step::Write(bytes) if !self.is_closed => self.written += bytes,
            Step::Transmit(bytes) => {
                self.transmitted = self.written.min(before + bytes);
                return Some(self.outgoing(before));
            }
            Step::BeAcked => self.acked = self.transmitted,
            Step::Receive(bytes) if !self.is_closed_by_peer => self.received += bytes,
            Step::Acknowledge => return Some(self.outgoing(before)),
            Step::Close if !self.is_closed => {
                self.written += 1;
                self.is_closed = true;
            }
            Step::BeClosed(bytes) if !self.is_closed_by_peer => {
                let fin = self.incoming_fin(bytes);
                self.received += bytes + 1;
                self.is_closed_by_peer = true;
                return Some(fin);
            }
            Step::Write(_) | Step::Receive(_) | Step::Close | Step::BeClosed(_) => {}
        }
        None
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Write(u64),
    Transmit(u64),
    BeAcked,
    Receive(u64),
    Acknowledge,
    Close,
    BeClosed(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..2_000_000_u64).prop_map(Step::Write),
        4 => (1..2_000_000_u64).prop_map(Step::Transmit),
        4 => Just(Step::BeAcked),
        4 => (1..2_000_000_u64).prop_map(Step::Receive),
        4 => Just(Step::Acknowledge),
        1 => Just(Step::Close),
        1 => (0..60_000_u64).prop_map(Step::BeClosed),
    ]
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..most)
}

/// What happens while nobody counts: more than sequence numbers can distinguish.
#[derive(Clone, Debug)]
struct Stop {
    /// After the kernel was asked for totals, and before the end.
    late: Vec<Step>,
    sent_gib: u64,
    received_gib: u64,
    steps: Vec<Step>,
    /// After the next start, and before the kernel is asked.
    early: Vec<Step>,
    /// What the next life sees.
    seen: Vec<Step>,
}

prop_compose! {
    fn stop()(
        late in steps(4), sent_gib in 0..9_u64, received_gib in 0..9_u64, steps in steps(8), early in steps(4),
        seen in steps(8),
    ) -> Stop {
        Stop { late, sent_gib, received_gib, steps, early, seen }
    }
}

/// The two SYNs.
fn opening(socket: &Socket) -> (Segment, Segment) {
    let syn = Segment { syn: true, ack: None, ..segment(socket.sent_base.wrapping_sub(1), 0, 0) };
    let answer = segment(socket.received_base.wrapping_sub(1), socket.sent_base, 0);
    (syn, Segment { syn: true, direction: Direction::Incoming, ..answer })
}

/// A life of the service; `see` shows it what passes.
struct Life {
    flows: Flows,
    time_ns: u64,
}

impl Life {
    fn new() -> Self {
        Self { flows: Flows::new(8, Searches::default()), time_ns: 1 }
    }

    /// A life that continues from former notes.
    fn after(notes: &[FlowNote], totals: &Totals) -> Self {
        Self::after_seeing([], notes, totals)
    }

    /// The same, if `early` had passed before the kernel was asked.
    fn after_seeing(early: impl IntoIterator<Item = Segment>, notes: &[FlowNote], totals: &Totals) -> Self {
        let mut life = Self::new();
        let early: Vec<_> = early.into_iter().collect();
        let asked_ns = life.time_ns + early.len() as u64;
        let at = segment(0, 0, 0).endpoints;
        life.flows.adopt(at, 0, UID);
        if let Some(note) = FormerNotes::new(&open_notes(notes), "").of(&at, totals) {
            life.flows.go_on_from(note, totals, asked_ns);
        }
        for segment in early {
            life.see(segment);
        }
        life.time_ns += IN_QUEUE_NS;
        life
    }

    fn see(&mut self, segment: Segment) {
        self.time_ns += 1;
        self.flows.observe(&Sighting { segment, time_ns: self.time_ns, interface: 2 }, 0);
    }

    fn open(&mut self, socket: &Socket) {
        let (syn, answer) = opening(socket);
        self.see(syn);
        self.see(answer);
        self.see(socket.outgoing(0));
        self.own(&syn);
    }

    /// Names the owner of the connection that began with `syn`.
    fn own(&mut self, syn: &Segment) {
        let question = Question { endpoints: syn.endpoints, birth: syn.seq, interface: 2 };
        let standing = Standing::Owned(UID);
        self.flows.learn(&Finding { question, standing, inode: 1, listener: None, forwards: false }, 0);
    }

    fn note(&mut self, totals: &Totals) {
        self.flows.take_note([(segment(0, 0, 0).endpoints, *totals)]);
    }

    fn credits(&mut self) -> Bytes {
        let mut sum = Bytes::default();
        for (owner, bytes) in self.flows.take_credits() {
            assert_eq!(owner, Owner::user(UID));
            sum += bytes;
        }
        sum
    }
}

proptest! {
    /// For any connection and any stops: all lives together count what moved, once the last has seen a segment.
    #[test]
    fn nothing_is_missing_and_nothing_twice(
        bases in any::<(u32, u32)>(),
        first in steps(8),
        stops in prop::collection::vec(stop(), 1..4),
    ) {
        let mut socket = Socket::new(bases.0, bases.1);
        let mut life = Life::new();
        life.open(&socket);
        first.into_iter().filter_map(|step| socket.go(step)).for_each(|segment| life.see(segment));
        let mut counted = Bytes::default();
        for Stop { late, sent_gib, received_gib, steps, early, seen } in stops {
            life.note(&socket.totals());
            late.into_iter().filter_map(|step| socket.go(step)).for_each(|segment| life.see(segment));
            let notes = life.flows.take_notes();
            counted += life.credits();
            let is_over = life.flows.table.values().any(Flow::is_over);
            prop_assert_eq!(notes.len(), usize::from(!is_over));
            if is_over {
                prop_assert_eq!(counted, socket.payload());
                return Ok(());
            }
            for _ in 0..sent_gib {
                let moves = [Step::Write(GIB), Step::Transmit(GIB), Step::BeAcked];
                for step in moves {
                    socket.go(step);
                }
            }
            socket.go(Step::Receive(received_gib * GIB));
            for step in steps {
                socket.go(step);
            }
            let early: Vec<_> = early.into_iter().filter_map(|step| socket.go(step)).collect();
            life = Life::after_seeing(early, &notes, &socket.totals());
            seen.into_iter().filter_map(|step| socket.go(step)).for_each(|segment| life.see(segment));
        }
        socket.go(Step::Acknowledge).into_iter().for_each(|segment| life.see(segment));
        counted += life.credits();
        prop_assert_eq!(counted, socket.payload());
    }
}

fn open_notes(flows: &[FlowNote]) -> OpenNotes {
    OpenNotes { flows: flows.to_vec(), ..OpenNotes::default() }
}

/// The notes of a connection, and its socket.
fn noted() -> (Vec<FlowNote>, Socket) {
    let mut socket = Socket::new(u32::MAX - 100, 900);
    let mut life = Life::new();
    life.open(&socket);
    for step in [Step::Write(500), Step::Transmit(500), Step::BeAcked, Step::Receive(70), Step::Acknowledge] {
        socket.go(step).into_iter().for_each(|segment| life.see(segment));
    }
    life.note(&socket.totals());
    let notes = life.flows.take_notes();
    assert_eq!(life.credits(), Bytes { sent: 500, received: 70 });
    (notes, socket)
}

#[test]
fn a_note_has_where_the_connection_stands_and_whose_it_is() {
    let (notes, socket) = noted();
    let endpoints = segment(0, 0, 0).endpoints;
    let (sent, received) = (socket.sent_base.wrapping_add(500), socket.received_base + 70);
    let note =
        FlowNote { cookie: COOKIE, endpoints, uid: Some(UID), sent, received, sent_total: 501, received_total: 70 };
    assert_eq!(notes, [note]);
}

#[test]
fn another_socket_between_the_same_endpoints_is_not_the_one_that_was_noted() {
    let (notes, mut socket) = noted();
    socket.go(Step::Receive(GIB));
    let mut life = Life::after(&notes, &Totals { cookie: COOKIE + 1, ..socket.totals() });
    socket.go(Step::Acknowledge).into_iter().for_each(|segment| life.see(segment));
    assert_eq!(life.credits(), Bytes::default());
}

/// A user can connect a socket again between the same ports while nobody counts; it keeps its cookie.
#[test]
fn a_socket_that_was_connected_anew_is_not_followed_from_the_note() {
    let (notes, former) = noted();
    // Acknowledgement numbers never go back.
    for received in [10, 100] {
        let mut socket = Socket::new(former.sent_base, former.received_base.wrapping_sub(1 << 27));
        (socket.written, socket.transmitted, socket.acked, socket.received) = (600, 600, 600, received);
        let mut life = Life::after(&notes, &socket.totals());
        life.credits();
        life.see(socket.outgoing(600));
        let late = life.credits();
        assert_eq!(late.received, 0, "{received}");
        socket.go(Step::Receive(200_000_000));
        life.see(socket.outgoing(600));
        assert_eq!(life.credits(), Bytes { sent: 0, received: 200_000_000 });
    }
}

#[test]
fn the_same_cookie_between_other_endpoints_is_not_the_one_that_was_noted() {
    let (notes, socket) = noted();
    let notes = open_notes(&notes);
    let notes = FormerNotes::new(&notes, "");
    let at = segment(0, 0, 0).endpoints;
    assert!(notes.of(&at, &socket.totals()).is_some());
    assert!(notes.of(&Endpoints { local_port: 1, ..at }, &socket.totals()).is_none());
    assert!(notes.of(&Endpoints { remote: at.local, ..at }, &socket.totals()).is_none());
}

#[test]
fn what_is_sure_is_credited_at_once_and_the_last_byte_by_the_next_segment() {
    let (notes, mut socket) = noted();
    socket.go(Step::Receive(5 * GIB));
    let mut life = Life::after(&notes, &socket.totals());
    assert_eq!(life.credits(), Bytes { sent: 0, received: 5 * GIB - 1 }, "it may be a FIN");
    life.note(&socket.totals());
    let again = life.flows.take_notes();
    let mut life = Life::after(&again, &socket.totals());
    assert_eq!(life.credits(), Bytes::default());
    socket.go(Step::Acknowledge).into_iter().for_each(|segment| life.see(segment));
    assert_eq!(life.credits(), Bytes { sent: 0, received: 1 });
}

#[test]
fn notes_are_heeded_where_the_same_connections_are_followed() {
    let settings = capture_settings();
    let (flows, socket) = noted();
    let notes = OpenNotes { flows, scope: scope(&settings), ..OpenNotes::default() };
    let at = segment(0, 0, 0).endpoints;
    let is_heeded = |scope: &str| FormerNotes::new(&notes, scope).of(&at, &socket.totals()).is_some();
    assert!(is_heeded(&scope(&settings)));
    let mut named = settings.clone();
    named.packet.interfaces.push("eth0".to_owned());
    assert!(!is_heeded(&scope(&named)) && !is_heeded(&scope(&Settings { loopback: true, ..settings })));
}

#[test]
fn a_connection_that_was_followed_by_another_is_not_noted() {
    let (_, socket) = noted();
    let mut life = Life::new();
    life.open(&socket);
    life.note(&socket.totals());
    life.open(&Socket::new(5_000_000, 7));
    assert_eq!(life.flows.take_notes(), []);
}

#[test]
fn of_two_sockets_with_the_same_endpoints_none_is_noted() {
    let (_, socket) = noted();
    let mut life = Life::new();
    life.open(&socket);
    let at = segment(0, 0, 0).endpoints;
    let (one, other) = (socket.totals(), Totals { cookie: 8, ..socket.totals() });
    life.flows.take_note([(at, one), (at, other), (at, other)]);
    assert_eq!(life.flows.take_notes(), []);
    life.flows.take_note([(at, one), (at, one)]);
    assert_eq!(life.flows.take_notes().len(), 1, "the kernel lists one twice now and then");
}

#[test]
fn what_still_leaves_of_a_closed_socket_has_the_user_of_the_note() {
    let (notes, mut socket) = noted();
    for step in [Step::Write(60_000), Step::Close, Step::Transmit(1_000), Step::BeAcked] {
        socket.go(step);
    }
    let mut life = Life::new();
    life.flows.adopt_unheld(0, &notes[0], &socket.totals());
    life.flows.go_on_from(&notes[0], &socket.totals(), 1);
    socket.go(Step::Transmit(100_000)).into_iter().for_each(|segment| life.see(segment));
    assert_eq!(life.credits(), Bytes { sent: 60_000, received: 0 });
}

#[test]
fn a_connection_whose_fins_passed_meanwhile_is_over_with_the_next_segment() {
    let (notes, mut socket) = noted();
    for step in [Step::BeClosed(10), Step::Close, Step::Transmit(1)] {
        socket.go(step);
    }
    let mut life = Life::after(&notes, &socket.totals());
    socket.go(Step::Acknowledge).into_iter().for_each(|segment| life.see(segment));
    assert_eq!(life.credits(), Bytes { sent: 0, received: 10 });
    assert!(life.flows.table.values().all(Flow::is_over));
}

#[test]
fn a_connection_is_noted_of_which_only_the_beginning_was_seen_when_the_kernel_was_asked() {
    let mut socket = Socket::new(100, 900);
    let mut life = Life::new();
    let (syn, answer) = opening(&socket);
    life.see(syn);
    life.see(answer);
    socket.go(Step::Write(70));
    let first = socket.go(Step::Transmit(70)).unwrap();
    life.note(&socket.totals());
    life.see(first);
    life.own(&syn);
    let notes = life.flows.take_notes();
    assert_eq!(life.credits(), Bytes { sent: 70, received: 0 });
    for step in [Step::Write(GIB), Step::Transmit(GIB), Step::BeAcked] {
        socket.go(step);
    }
    let mut life = Life::after(&notes, &socket.totals());
    socket.go(Step::Acknowledge).into_iter().for_each(|segment| life.see(segment));
    assert_eq!(life.credits(), Bytes { sent: GIB, received: 0 });
}

#[test]
fn what_waits_to_be_accepted_is_of_whoever_accepts_it() {
    let (notes, mut socket) = noted();
    socket.go(Step::Receive(1_000));
    let mut life = Life::new();
    life.flows.adopt_unheld(0, &notes[0], &socket.totals());
    life.flows.go_on_from(&notes[0], &socket.totals(), 1);
    assert_eq!(life.flows.take_credits(), []);
    let question = life.flows.open_questions()[0];
    let standing = Standing::Owned(UID + 1);
    life.flows.learn(&Finding { question, standing, inode: 1, listener: None, forwards: false }, 0);
    assert_eq!(life.flows.take_credits(), [(Owner::user(UID + 1), Bytes { sent: 0, received: 999 })]);
}

#[test]
fn a_connection_that_the_kernel_lists_twice_is_credited_once() {
    let (notes, mut socket) = noted();
    socket.go(Step::Receive(1_000));
    let mut life = Life::after(&notes, &socket.totals());
    socket.go(Step::Receive(500));
    life.flows.adopt(notes[0].endpoints, 0, UID);
    life.flows.go_on_from(&notes[0], &socket.totals(), 1);
    socket.go(Step::Acknowledge).into_iter().for_each(|segment| life.see(segment));
    assert_eq!(life.credits(), Bytes { sent: 0, received: 1_500 });
}
