//! What the reader learns from its sources, in the order in which it happened: segments of both rings, and answers about owners. Pure;
//! time is passed in.
//!
//! An anchor can be read the moment it passes, and an answer when it is given; the segments before them come with their block of the bulk
//! ring. So anchors and answers are held until the bulk ring was read past their time. A connection then ends behind its last segment,
//! however soon another one follows between the same endpoints. What is held is in order already, because each source is a queue.

use std::collections::VecDeque;

use super::finding::{Finding, Found, Question};
use super::flows::Sighting;
use super::segment::Direction;
use super::totals::Totals;

/// Anchors and answers that are held at most, each, before their sources have to wait: as many as come in 0.05 s if 1,300,000 come in
/// a second. Some 15 MB in all.
const MAX_HELD: usize = 65_536;

/// Clocks of two processors may differ, so the acknowledgement of a peer's FIN may have an earlier time stamp than that FIN. It is known
/// so much before its time, which costs nothing: it only says which number is no byte.
const FIN_AHEAD_NS: u64 = 1_000_000;

/// What is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A segment of the anchor ring.
    Anchor(Sighting),
    /// An answer of the owner thread.
    Finding(Finding),
    /// An answer of the searching thread.
    Found(Found),
    /// What the kernel said of a connection, and when it had said it.
    Totals {
        /// The connection.
        question: Question,
        /// Its totals.
        totals: Totals,
        /// In nanoseconds of the wall clock; the event's own time is when it was asked.
        told_ns: u64,
    },
}

/// Anchors and answers that wait for earlier segments. Times are nanoseconds of the wall clock.
#[derive(Debug, Default)]
pub struct Timeline {
    anchors: VecDeque<Sighting>,
    answers: VecDeque<(u64, Event)>,
}

impl Timeline {
    /// Whether more anchors may be read.
    #[must_use]
    pub fn has_room_for_anchors(&self) -> bool {
        self.anchors.len() < MAX_HELD
    }

    /// How many answers may be taken.
    #[must_use]
    pub fn room_for_answers(&self) -> usize {
        MAX_HELD.saturating_sub(self.answers.len())
    }

    /// Holds an anchor.
    pub fn hold(&mut self, anchor: Sighting) {
        self.anchors.push_back(anchor);
    }

    /// Holds an answer that was given at `time_ns`.
    pub fn hold_answer(&mut self, time_ns: u64, answer: Event) {
        self.answers.push_back((time_ns, answer));
    }

    /// Lets go of what is not later than `until_ns`, up to which the bulk ring was read.
    pub fn release(&mut self, until_ns: u64, mut take: impl FnMut(Event)) {
        while let Some(event) = self.next(|time_ns, ahead_ns| time_ns <= until_ns.saturating_add(ahead_ns)) {
            take(event);
        }
    }

    /// The same, and of what is later than the present, `now_ns`: the wall clock was set back, and nobody knows what came before.
    pub fn release_at(&mut self, now_ns: u64, until_ns: u64, mut take: impl FnMut(Event)) {
        while let Some(event) = self.next(|time_ns, _| time_ns <= until_ns || time_ns > now_ns) {
            take(event);
        }
    }

    /// Takes the earlier one of the first of each kind, if it is due: by its time, and by how much before that it may be known.
    fn next(&mut self, is_due: impl Fn(u64, u64) -> bool) -> Option<Event> {
        let anchor_ns = self.anchors.front().map(|anchor| anchor.time_ns);
        let is_peer_fin = |anchor: &Sighting| anchor.segment.fin && anchor.segment.direction == Direction::Incoming;
        let ahead_ns = if self.anchors.front().is_some_and(is_peer_fin) { FIN_AHEAD_NS } else { 0 };
        let answer_ns = self.answers.front().map(|(time_ns, _)| *time_ns);
        match (anchor_ns, answer_ns) {
            (Some(anchor_ns), answer_ns) if answer_ns.is_none_or(|answer_ns| anchor_ns <= answer_ns) => {
                if is_due(anchor_ns, ahead_ns) { self.anchors.pop_front().map(Event::Anchor) } else { None }
            }
            (_, Some(answer_ns)) if is_due(answer_ns, 0) => self.answers.pop_front().map(|(_, answer)| answer),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
