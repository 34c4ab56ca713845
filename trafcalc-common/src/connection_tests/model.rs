//! A model of one end of a TCP connection in Linux, with the truth: what was transmitted and what arrived.
//!
//! Each operation appends to a history of moments. A moment is what another CPU may see between two stores of the kernel.

use super::super::Numbers;
use crate::tcp::state::*;

/// What happens to the socket. An operation that the state does not allow does nothing.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// `connect`: initial number, payload in the SYN, whether the SYN leaves.
    Connect(u32, u32, Leaves),
    /// The peer's SYN crosses ours.
    Crossing(u32),
    /// The peer's SYN-ACK: its number, whether it acknowledges the payload of our SYN, the payload it carries.
    SynAck(u32, bool, u32),
    /// The same with a FIN, over fast open: its number and the payload it carries.
    SynAckFin(u32, u32),
    /// Another socket at the same address: a listener's child, its number, the peer's, payload in the peer's SYN. With
    /// `None` there is no fast open.
    Child(u32, u32, Option<u32>),
    /// The third packet of a handshake, which acknowledges all that is out.
    Handshake,
    Listen,
    Write(u32),
    Transmit(u32),
    Retransmit(u32),
    Ack(u32),
    Arrive(u32),
    PeerFin,
    Shutdown,
    Reset,
    Disconnect,
    /// The owner changes.
    Give(u8),
    /// Both directions move by this much without a moment in between.
    Bulk(u64),
    /// `TCP_REPAIR` with `TCP_QUEUE_SEQ` of both queues.
    Repair(u32, u32),
    /// Payload queued under `TCP_REPAIR`.
    RepairQueue(u32),
    /// This much of it leaves, as a retransmission.
    RepairLeaves(u32),
}

/// How far `connect` gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// There is no route: `tcp_connect` is not called.
    No,
    /// The network layer refuses the SYN after `bytes_sent` was counted.
    Refused,
    /// The SYN leaves.
    Yes,
}

/// The kernel's fields at one moment, and the truth.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    pub numbers: Numbers,
    /// The state is about to change to this one.
    pub next: Option<u32>,
    /// Payload transmitted, and payload arrived, of all connections so far.
    pub truth: (u64, u64),
    pub owner: u8,
    /// Number of the connection.
    pub life: u32,
    /// Number of the span within which one look may read: no look is so slow that gigabytes pass during it.
    pub era: u32,
}

/// The socket and its history.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one socket")]
pub struct Model {
    pub history: Vec<Moment>,
    now: Moment,
    has_fin: bool,
    is_repaired: bool,
    is_fast_child: bool,
    has_opened: bool,
    /// Payload queued under repair that has not left.
    hidden: u32,
    was_retransmitted: bool,
}

/// The limit of unacknowledged bytes: the largest window.
const WINDOW: u32 = 1 << 30;

impl Model {
    pub fn new() -> Self {
        let mut model = Self::default();
        model.now.numbers.state = CLOSE;
        model
    }

    fn mark(&mut self) {
        self.history.push(self.now);
    }

    fn set_state(&mut self, next: u32) {
        self.history.push(Moment { next: Some(next), ..self.now });
        self.now.numbers.state = next;
        self.mark();
    }

    fn is_in(&self, states: &[u32]) -> bool {
        states.contains(&self.now.numbers.state)
    }

    /// Sequence numbers that wait to be transmitted, including that of a FIN.
    fn unsent(&self) -> u32 {
        self.now.numbers.write_seq.wrapping_sub(self.now.numbers.snd_nxt)
    }

    fn unacked(&self) -> u32 {
        self.now.numbers.snd_nxt.wrapping_sub(self.now.numbers.snd_una)
    }

    pub fn run(&mut self, op: Op) {
        match op {
            Op::Connect(isn, data, leaves) => self.connect(isn, data, leaves),
            Op::Crossing(isn) => self.crossing(isn),
            Op::SynAck(isn, all, data) => self.syn_ack(isn, all, data, false),
            Op::SynAckFin(isn, data) => self.syn_ack(isn, true, data, true),
            Op::Child(isn, peer, data) => self.child(isn, peer, data),
            Op::Handshake => self.handshake(),
            Op::Listen => self.listen(),
            Op::Write(count) => self.write(count),
            Op::Transmit(count) => self.transmit(count),
            Op::Retransmit(count) => self.retransmit(count),
            Op::Ack(count) if !self.is_in(&[CLOSE, SYN_SENT, SYN_RECV]) => self.ack(count),
            Op::Ack(count) if self.is_fast_child && self.is_in(&[SYN_RECV]) => {
                // An ACK ends the handshake, but a look may come between its number and the new state.
                self.ack(count);
                self.handshake();
            }
            Op::Ack(_) => {}
            Op::Arrive(count) => self.arrive(count),
            Op::PeerFin => self.peer_fin(),
            Op::Shutdown => self.shutdown(),
            Op::Reset => self.reset(),
            Op::Disconnect => self.disconnect(),
            Op::Give(owner) => self.now.owner = owner,
            Op::Bulk(count) => self.bulk(count),
            Op::Repair(write_seq, rcv_nxt) => self.repair(write_seq, rcv_nxt),
            Op::RepairQueue(count) => self.repair_queue(count),
            Op::RepairLeaves(count) => self.repair_leaves(count),
        }
        self.mark();
    }

    fn begin_life(&mut self) {
        self.now.life += 1;
        self.has_fin = false;
        self.is_fast_child = false;
        self.has_opened = false;
        self.hidden = 0;
        self.now.era += 1;
    }

    /// Whether a former connection has left totals, which only `tcp_disconnect` clears.
    fn is_used(&self) -> bool {
        let numbers = &self.now.numbers;
        let has_sent = numbers.bytes_sent != 0 && numbers.snd_nxt != numbers.snd_una;
        has_sent || numbers.bytes_acked != 0 || numbers.bytes_received != 0
    }

    /// `tcp_v4_connect` and `tcp_connect`.
    fn connect(&mut self, isn: u32, data: u32, leaves: Leaves) {
        // A socket that was connected can be connected again after tcp_disconnect only.
        if !self.is_in(&[CLOSE]) || self.is_used() {
            return;
        }
        self.begin_life();
        self.set_state(SYN_SENT);
        if self.now.numbers.write_seq == 0 && !self.is_repaired {
            self.now.numbers.write_seq = isn;
        }
        if leaves == Leaves::No {
            return self.set_state(CLOSE);
        }
        self.connect_init();
        if self.is_repaired {
            self.is_repaired = false;
            return self.set_state(ESTABLISHED);
        }
        self.syn(data, leaves);
    }

    /// `tcp_connect_init`.
    fn connect_init(&mut self) {
        let numbers = &mut self.now.numbers;
        numbers.snd_una = numbers.write_seq;
        numbers.snd_nxt = numbers.write_seq;
        if !self.is_repaired {
            numbers.rcv_nxt = 0;
        }
        // A look that began before this found invalid cursors, and returned.
        self.now.era += 1;
        self.mark();
    }

    /// `tcp_send_syn_data`, and what `tcp_connect` does after it.
    fn syn(&mut self, data: u32, leaves: Leaves) {
        self.has_opened = true;
        self.now.numbers.write_seq = self.now.numbers.write_seq.wrapping_add(1 + data);
        self.now.numbers.bytes_sent += u64::from(data);
        self.mark();
        if leaves == Leaves::Refused {
            self.was_retransmitted = true;
            return self.set_state(CLOSE);
        }
        self.now.truth.0 += u64::from(data);
        self.now.numbers.snd_nxt = self.now.numbers.write_seq;
    }

    fn crossing(&mut self, isn: u32) {
        if self.is_in(&[SYN_SENT]) {
            self.now.numbers.rcv_nxt = isn.wrapping_add(1);
            self.set_state(SYN_RECV);
        }
    }

    /// `tcp_rcv_synsent_state_process`. Data in a SYN-ACK is accepted only if the SYN-ACK acknowledges the payload of our SYN
    /// (`tcp_rcv_fastopen_synack`).
    fn syn_ack(&mut self, isn: u32, all: bool, data: u32, fin: bool) {
        if !self.is_in(&[SYN_SENT]) {
            return;
        }
        self.ack(if all { u32::MAX } else { 1 });
        self.now.numbers.rcv_nxt = isn.wrapping_add(1);
        self.set_state(ESTABLISHED);
        if all {
            self.fast_open_arrival(data, fin);
        }
    }

    /// `tcp_create_openreq_child`, and with payload `tcp_fastopen_create_child`.
    fn child(&mut self, isn: u32, peer: u32, data: Option<u32>) {
        if !self.is_in(&[CLOSE]) {
            return;
        }
        self.begin_life();
        self.was_retransmitted = false;
        self.is_repaired = false;
        self.is_fast_child = data.is_some();
        let (isn, data) = (isn.wrapping_add(1), data.unwrap_or(0));
        self.now.numbers =
            Numbers { snd_nxt: isn, write_seq: isn, snd_una: isn, state: SYN_RECV, ..Numbers::default() };
        self.now.numbers.rcv_nxt = peer.wrapping_add(1 + data);
        self.now.numbers.bytes_received = data.into();
        self.now.truth.1 += u64::from(data);
    }

    fn handshake(&mut self) {
        if self.is_in(&[SYN_RECV]) {
            self.ack(u32::MAX);
            self.set_state(ESTABLISHED);
        }
    }

    fn listen(&mut self) {
        if self.is_in(&[CLOSE]) && !self.is_used() {
            self.set_state(LISTEN);
            self.set_state(CLOSE);
        }
    }

    fn may_write(&self) -> bool {
        !self.has_fin && (self.is_in(&[ESTABLISHED, CLOSE_WAIT]) || self.is_fast_child && self.is_in(&[SYN_RECV]))
    }

    fn write(&mut self, count: u32) {
        if self.may_write() && self.unsent().saturating_add(count) < WINDOW {
            self.now.numbers.write_seq = self.now.numbers.write_seq.wrapping_add(count);
        }
    }

    /// `tcp_write_xmit`: `bytes_sent` is counted before the network layer is called, `snd_nxt` moves after it.
    fn transmit(&mut self, count: u32) {
        if self.is_in(&[CLOSE, SYN_SENT]) || self.unsent() == 0 || self.unacked() > WINDOW {
            return;
        }
        let payload = self.unsent() - u32::from(self.has_fin);
        let moved = payload.min(count);
        let fin = self.has_fin && moved == payload;
        self.now.numbers.bytes_sent += u64::from(moved);
        self.now.truth.0 += u64::from(moved);
        self.mark();
        self.now.numbers.snd_nxt = self.now.numbers.snd_nxt.wrapping_add(moved + u32::from(fin));
    }
}

#[path = "traffic.rs"]
mod traffic;
