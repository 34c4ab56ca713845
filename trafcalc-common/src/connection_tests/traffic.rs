//! What the model does once a connection has begun: acknowledgements, arrivals, ends, and `TCP_REPAIR`.

use super::{Model, Numbers, WINDOW};
use crate::tcp::state::*;

impl Model {
    /// Payload among what is not acknowledged.
    fn unacked_payload(&self) -> u32 {
        let fin = self.has_fin && self.unsent() == 0;
        self.unacked().saturating_sub(u32::from(fin))
    }

    pub(super) fn retransmit(&mut self, count: u32) {
        if self.is_in(&[CLOSE, SYN_SENT, SYN_RECV]) || self.hidden != 0 {
            return;
        }
        // A SYN that is not acknowledged is retransmitted alone.
        let has_syn = self.now.numbers.bytes_acked == 0 && self.has_opened;
        if !has_syn {
            self.was_retransmitted = true;
            self.now.numbers.bytes_sent += u64::from(self.unacked_payload().min(count));
        }
    }

    /// `tcp_snd_una_update`, and the state that an acknowledged FIN leads to.
    pub(super) fn ack(&mut self, count: u32) {
        let moved = self.unacked().min(count);
        self.now.numbers.bytes_acked += u64::from(moved);
        self.mark();
        self.now.numbers.snd_una = self.now.numbers.snd_una.wrapping_add(moved);
        self.mark();
        if !self.has_fin || self.now.numbers.snd_una != self.now.numbers.write_seq {
            return;
        }
        match self.now.numbers.state {
            FIN_WAIT1 => self.set_state(FIN_WAIT2),
            CLOSING | LAST_ACK => self.set_state(CLOSE),
            _ => {}
        }
    }

    /// `tcp_rcv_nxt_update`.
    fn advance_received(&mut self, count: u32) {
        self.now.numbers.bytes_received += u64::from(count);
        self.mark();
        self.now.numbers.rcv_nxt = self.now.numbers.rcv_nxt.wrapping_add(count);
        self.mark();
    }

    fn may_arrive(&self) -> bool {
        self.is_in(&[ESTABLISHED, FIN_WAIT1, FIN_WAIT2]) && !self.now.numbers.has_peer_fin
    }

    pub(super) fn arrive(&mut self, count: u32) {
        if self.may_arrive() {
            self.now.truth.1 += u64::from(count);
            self.advance_received(count);
        }
    }

    /// `tcp_fin`.
    pub(super) fn peer_fin(&mut self) {
        if !self.may_arrive() {
            return;
        }
        self.advance_received(1);
        self.fin_is_in_order();
    }

    /// `tcp_fastopen_add_skb`: the total does not include the FIN, and is written after the number.
    pub(super) fn fast_open_arrival(&mut self, data: u32, fin: bool) {
        self.now.truth.1 += u64::from(data);
        self.now.numbers.rcv_nxt = self.now.numbers.rcv_nxt.wrapping_add(data + u32::from(fin));
        self.mark();
        self.now.numbers.bytes_received = data.into();
        self.mark();
        if fin {
            self.fin_is_in_order();
        }
    }

    /// The flag and the state that the peer's FIN leads to.
    fn fin_is_in_order(&mut self) {
        self.now.numbers.has_peer_fin = true;
        self.mark();
        self.set_state(match self.now.numbers.state {
            ESTABLISHED => CLOSE_WAIT,
            FIN_WAIT1 => CLOSING,
            _ => CLOSE,
        });
    }

    /// `tcp_close_state` and `tcp_send_fin`: the FIN waits after the written data.
    pub(super) fn shutdown(&mut self) {
        let next = match self.now.numbers.state {
            ESTABLISHED | SYN_RECV => FIN_WAIT1,
            CLOSE_WAIT => LAST_ACK,
            SYN_SENT => return self.set_state(CLOSE),
            _ => return,
        };
        self.set_state(next);
        self.has_fin = true;
        self.now.numbers.write_seq = self.now.numbers.write_seq.wrapping_add(1);
    }

    /// `tcp_reset`, an abort, or the end of an orphan.
    pub(super) fn reset(&mut self) {
        if !self.is_in(&[CLOSE]) {
            self.set_state(CLOSE);
        }
    }

    /// `tcp_disconnect`: the numbers of the send side stay, the totals do not.
    pub(super) fn disconnect(&mut self) {
        self.reset();
        let numbers = &mut self.now.numbers;
        let write_seq = numbers.write_seq.wrapping_add(65_535 + 2).max(1);
        *numbers =
            Numbers { write_seq, bytes_sent: 0, bytes_acked: 0, bytes_received: 0, has_peer_fin: false, ..*numbers };
        self.was_retransmitted = false;
    }

    #[expect(clippy::cast_possible_truncation, reason = "numbers are counted modulo 2^32")]
    pub(super) fn bulk(&mut self, count: u64) {
        if !self.is_in(&[ESTABLISHED]) || self.unsent() != 0 || self.hidden != 0 {
            return;
        }
        let numbers = &mut self.now.numbers;
        for number in [&mut numbers.snd_una, &mut numbers.snd_nxt, &mut numbers.write_seq, &mut numbers.rcv_nxt] {
            *number = number.wrapping_add(count as u32);
        }
        for total in [&mut numbers.bytes_acked, &mut numbers.bytes_sent, &mut numbers.bytes_received] {
            *total += count;
        }
        self.now.truth.0 += count;
        self.now.truth.1 += count;
        self.now.era += 1;
    }

    pub(super) fn repair(&mut self, write_seq: u32, rcv_nxt: u32) {
        if self.is_in(&[CLOSE]) {
            self.is_repaired = true;
            self.now.numbers.write_seq = write_seq;
            self.now.numbers.rcv_nxt = rcv_nxt;
        }
    }

    /// For a connection with retransmissions, `bytes_sent` cannot tell what left, so the test does not claim it.
    pub(super) fn repair_queue(&mut self, count: u32) {
        let is_open = self.is_in(&[ESTABLISHED, CLOSE_WAIT]) && self.unsent() == 0;
        if is_open && !self.was_retransmitted && self.unacked().saturating_add(count) < WINDOW {
            self.hidden += count;
            self.now.numbers.write_seq = self.now.numbers.write_seq.wrapping_add(count);
            self.now.numbers.snd_nxt = self.now.numbers.write_seq;
        }
    }

    pub(super) fn repair_leaves(&mut self, count: u32) {
        if self.is_in(&[CLOSE]) {
            return;
        }
        let moved = self.hidden.min(count).min(self.unacked_payload());
        self.hidden -= moved;
        self.now.truth.0 += u64::from(moved);
        self.now.numbers.bytes_sent += u64::from(moved);
    }
}
