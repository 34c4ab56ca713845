//! Does with streams what the kernel half does, over a history of the model.

use super::super::{
    Change, OPENING, SocketView, at_end, begun, change, forward, has_begun, is_idle, is_of, last_position, position,
    unbegun,
};
use super::model::Moment;
use crate::audit;
use crate::connection::Numbers;
use crate::maps::{Stream, Tally};
use crate::tcp::state;
use std::collections::BTreeMap;

/// The choices at a moment, as bits: which copies of the program run, whether a look comes, and how torn its reading is.
pub type Choice = u16;

/// The stream of one socket address, and what the program credited to each owner.
#[derive(Default)]
pub struct Driver {
    pub stream: Option<Stream>,
    pub credited: BTreeMap<u8, (i64, i64)>,
    pub mismatches: usize,
    owner: u8,
}

/// Marks an end that the other copy of the program may also see. The kernel half has a map for this (`ENDS`).
const ENDED_FLAG: u32 = 1 << 31;
const ENDED: Stream = Stream { flags: ENDED_FLAG, ..OPENING };

impl Driver {
    pub fn total(&self) -> (i64, i64) {
        self.credited.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    fn credit(&mut self, sent: i64, received: i64) {
        let account = self.credited.entry(self.owner).or_default();
        *account = (account.0 + sent, account.1 + received);
    }

    fn credit_tally(&mut self, tally: Tally) {
        self.credit(tally.sent.cast_signed(), tally.received.cast_signed());
    }

    /// One copy of the program at a change of state.
    pub fn run(&mut self, sk: impl SocketView, old: u32, new: u32) {
        match change(old, new) {
            Change::Opens => self.open(),
            Change::Begins => self.begin(sk, old),
            Change::Ends => self.end(sk, old),
            Change::Nothing => {}
        }
    }

    fn open(&mut self) {
        self.stream = Some(OPENING);
    }

    fn begin(&mut self, sk: impl SocketView, old: u32) {
        match self.stream {
            Some(stream) if stream.flags & Stream::OPENING != 0 => self.stream = Some(begun(sk, true)),
            Some(stream) if is_of(&stream, sk) => {}
            _ => self.stream = Some(begun(sk, old == state::SYN_SENT)),
        }
    }

    fn end(&mut self, sk: impl SocketView, old: u32) {
        let after = (old == state::SYN_RECV).then_some(ENDED);
        match self.stream {
            None if old == state::SYN_RECV => self.credit_tally(unbegun(sk, old, false)),
            None => return,
            Some(stream) if stream.flags & ENDED_FLAG != 0 => {
                self.stream = None;
                return;
            }
            Some(stream) => self.settle(sk, &stream, old),
        }
        self.stream = after;
    }

    /// The end of a connection that began.
    fn settle(&mut self, sk: impl SocketView, stream: &Stream, old: u32) {
        let from = at_end(sk, stream, || false);
        let last = last_position(sk, &from, old);
        let is_opening = stream.flags & Stream::OPENING != 0;
        self.mismatches += usize::from(!is_opening && !audit::agrees(stream, sk, &last));
        let moved = |from: u64, to: u64| to.wrapping_sub(from).cast_signed();
        let sent = moved(from.sent, last.sent);
        self.credit(if is_opening { sent.max(0) } else { sent }, moved(from.received, last.received));
    }

    /// A look, which may come while another CPU changes the socket.
    pub fn look(&mut self, sk: impl SocketView) {
        let Some(mut stream) = self.stream.filter(|stream| has_begun(stream) && is_of(stream, sk)) else {
            return;
        };
        if is_idle(&stream, sk.snd_nxt(), sk.rcv_nxt()) {
            return;
        }
        let to = position(sk, &stream);
        let (sent, received) = (forward(stream.sent, to.sent), forward(stream.received, to.received));
        stream.sent = stream.sent.wrapping_add(sent);
        stream.received = stream.received.wrapping_add(received);
        self.stream = Some(stream);
        self.credit(sent.cast_signed(), received.cast_signed());
    }

    /// Plays one moment of `history`.
    pub fn play(&mut self, history: &[Moment], at: usize, choice: Choice) {
        let now = &history[at];
        if now.owner != self.owner {
            self.look(&now.numbers);
            self.owner = now.owner;
        }
        if choice & 1 != 0 {
            self.look(&torn(history, at, choice));
        }
        if let Some(next) = now.next {
            // The mark of an end whose first copy was missed is removed only if both copies run.
            let has_mark = self.stream.is_some_and(|stream| stream.flags & ENDED_FLAG != 0);
            if choice & 6 != 2 || has_mark {
                self.run(&now.numbers, now.numbers.state, next);
            }
            if choice & 8 != 0 {
                self.look(&now.numbers);
            }
            if choice & 6 != 4 || has_mark {
                self.run(&now.numbers, now.numbers.state, next);
            }
        }
    }
}

/// What a look reads that began some moments ago and ends now: the fields in reading order, each from the same moment as the field
/// before or a later one.
fn torn(history: &[Moment], at: usize, choice: Choice) -> Numbers {
    let mut bits = choice >> 4;
    let earliest = at.saturating_sub((bits & 15).count_ones() as usize);
    let mut from = (earliest..=at).find(|&moment| history[moment].era == history[at].era).unwrap_or(at);
    let mut next = || {
        from = (from + usize::from(bits & 1)).min(at);
        bits = bits.rotate_right(1);
        &history[from].numbers
    };
    Numbers {
        snd_nxt: next().snd_nxt,
        write_seq: next().write_seq,
        bytes_sent: next().bytes_sent,
        state: next().state,
        snd_una: next().snd_una,
        bytes_acked: next().bytes_acked,
        bytes_received: next().bytes_received,
        rcv_nxt: next().rcv_nxt,
        has_peer_fin: next().has_peer_fin,
    }
}
