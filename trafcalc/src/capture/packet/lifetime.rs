//! When owners of connections are asked for, given up and decided, and when connections are forgotten. Pure.

use super::flow::{Flow, Holder, Origin, Pending};

/// A finished connection is kept this long for its retransmissions, as long as TCP itself keeps `TIME_WAIT` (`TCP_TIMEWAIT_LEN`). If
/// forgotten earlier, a retransmission would look like a connection in mid-stream.
pub(super) const LINGER_MS: u64 = 60_000;
/// A silent connection is asked about this often; it is forgotten only if the kernel no longer knows it.
pub(super) const IDLE_CHECK_MS: u64 = 300_000;
/// An unanswered question about waiting bytes is asked again after this time.
pub(super) const ASK_AGAIN_MS: u64 = 1_000;
/// A search without an answer, because a queue was full, begins again after this time.
pub(super) const SEARCH_AGAIN_MS: u64 = 30_000;
/// Bytes whose connection has no owner wait this long for a better guess than the listener's user.
pub(super) const GUESS_MS: u64 = 2_000;

impl Flow {
    /// The socket can no longer name its owner.
    pub(super) fn orphan(&mut self, listener: Option<u32>, now_ms: u64) {
        if let Holder::Pending(pending) = &mut self.holder {
            pending.orphaned_ms.get_or_insert(now_ms);
        }
        self.note_listener(listener);
    }

    /// Notes the listener's user.
    pub(super) fn note_listener(&mut self, listener: Option<u32>) {
        if let Holder::Pending(pending) = &mut self.holder {
            pending.listener = pending.listener.or(listener);
        }
    }

    /// It continues although the kernel did not know it: opened with a SYN cookie.
    pub(super) fn revive(&mut self) {
        self.gone = false;
        if let Holder::Pending(pending) = &mut self.holder {
            pending.orphaned_ms = None;
        }
    }

    /// It is no connection of this host.
    pub(super) fn disown(&mut self) {
        if matches!(self.holder, Holder::Pending(_)) {
            self.holder = Holder::Foreign;
        }
    }

    /// Whether its bytes go to no account.
    pub(super) const fn is_nobodys(&self) -> bool {
        matches!(self.holder, Holder::Foreign | Holder::Unwanted | Holder::Undecided(_))
    }

    /// Its bytes, if it is unknown whether they are to be counted.
    pub(super) const fn undecided_bytes(&self) -> u64 {
        match self.holder {
            Holder::Undecided(bytes) => bytes.sent + bytes.received,
            _ => 0,
        }
    }

    /// Whether this host, which has no such socket, only forwards the connection.
    pub(super) fn passes_through(&self, forwards: bool) -> bool {
        self.relayed || (forwards && self.origin == Origin::Midstream)
    }

    /// Whether it has waited long enough for a better guess.
    pub(super) fn guess_is_due(&self, now_ms: u64) -> bool {
        match self.holder {
            Holder::Pending(Pending { orphaned_ms: Some(since_ms), .. }) => now_ms - since_ms >= GUESS_MS,
            _ => false,
        }
    }

    /// Whether it will not move any more, judging by this host alone.
    pub(super) fn is_over(&self) -> bool {
        self.is_complete() || self.aborted || self.gone
    }

    /// Whether it can be forgotten.
    pub(super) fn has_ended(&self, now_ms: u64) -> bool {
        let is_undecided = matches!(self.holder, Holder::Pending(Pending { orphaned_ms: Some(_), .. }));
        self.is_over() && now_ms - self.seen_ms >= LINGER_MS && !is_undecided
    }

    /// Whether the kernel should be asked about it now.
    pub(super) fn is_worth_asking(&self, now_ms: u64) -> bool {
        let pause_ms = if self.holds_bytes() || self.awaits_last_ack() {
            ASK_AGAIN_MS
        } else if matches!(self.holder, Holder::Searching(_, bytes) if !bytes.is_zero()) {
            SEARCH_AGAIN_MS
        } else if now_ms - self.seen_ms < LINGER_MS {
            return false;
        } else if self.reset || self.aborted || self.embryonic {
            LINGER_MS
        } else {
            IDLE_CHECK_MS
        };
        !self.gone && now_ms - self.asked_ms >= pause_ms
    }

    /// Whether bytes wait here for an owner that may still be found.
    pub(super) fn holds_bytes(&self) -> bool {
        match self.holder {
            Holder::Pending(pending) => pending.orphaned_ms.is_none() && !pending.bytes.is_zero(),
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "lifetime_tests.rs"]
mod tests;
