//! Puts what the reader learns in the order in which it happened: segments of both rings, and answers about owners. Pure; time is passed
//! in.
//!
//! An anchor can be read as soon as it passes, and an answer as soon as it is given; the segments before them come with their block of the
//! bulk ring. So anchors and answers are held until the bulk ring was read past their time. A connection then ends after its last segment,
//! however soon another one follows between the same endpoints. Held events are already in order, because each source is a queue.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use super::finding::{Finding, Found, Question};
use super::flows::Sighting;
use super::segment::{Direction, Endpoints, Segment};
use super::totals::Totals;

/// Most anchors, and most answers, that are held before their sources have to wait: those of 0.05 s at 1,300,000 a second. Some 15 MB in
/// all.
const MAX_HELD: usize = 65_536;

/// Clocks of two processors may differ, so the acknowledgement of a peer's FIN may have an earlier time stamp than the FIN. Its number is
/// therefore known this much before its time, whatever else is held, but not before its connection begins. This costs nothing: the number
/// only says what is no byte.
const FIN_AHEAD_NS: u64 = 1_000_000;

/// What is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A segment of the anchor ring.
    Anchor(Sighting),
    /// A FIN of a peer, which becomes an anchor when its time comes.
    PeerFin(Sighting),
    /// An answer of the owner thread.
    Finding(Finding),
    /// An answer of the search thread.
    Found(Found),
    /// The kernel's totals of a connection, and when it had answered.
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
    /// Peers' FINs that are held and not known yet.
    fins: VecDeque<Sighting>,
    /// How many SYNs of each connection are held.
    openings: HashMap<Endpoints, usize>,
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

    /// Holds an anchor. Anchors held before took their places in the ring before it passed, even if their time stamps are later: a
    /// processor can be delayed before it reads the clock.
    pub fn hold(&mut self, anchor: Sighting) {
        for queue in [&mut self.anchors, &mut self.fins] {
            for earlier in queue.iter_mut().rev().take_while(|earlier| earlier.time_ns > anchor.time_ns) {
                earlier.time_ns = anchor.time_ns;
            }
        }
        let Segment { endpoints, syn, fin, direction, .. } = anchor.segment;
        if syn {
            *self.openings.entry(endpoints).or_default() += 1;
        }
        if fin && direction == Direction::Incoming {
            self.fins.push_back(anchor);
        }
        self.anchors.push_back(anchor);
    }

    /// Holds an answer that was given at `time_ns`.
    pub fn hold_answer(&mut self, time_ns: u64, answer: Event) {
        self.answers.push_back((time_ns, answer));
    }

    /// Releases everything up to `until_ns`, the time up to which the bulk ring was read.
    pub fn release(&mut self, until_ns: u64, mut take: impl FnMut(Event)) {
        while let Some(event) = self.next(|time_ns| time_ns <= until_ns) {
            take(event);
        }
        let known_until_ns = until_ns.saturating_add(FIN_AHEAD_NS);
        while let Some(&fin) = self.fins.front().filter(|fin| fin.time_ns <= known_until_ns) {
            if fin.time_ns > until_ns {
                if self.openings.contains_key(&fin.segment.endpoints) {
                    break;
                }
                take(Event::PeerFin(fin));
            }
            self.fins.pop_front();
        }
    }

    /// The same, and everything later than the present, `now_ns`: the wall clock was set back, so its order is unknown.
    pub fn release_at(&mut self, now_ns: u64, until_ns: u64, mut take: impl FnMut(Event)) {
        let is_due = |time_ns| time_ns <= until_ns || time_ns > now_ns;
        while let Some(event) = self.next(is_due) {
            take(event);
        }
        while self.fins.front().is_some_and(|fin| is_due(fin.time_ns)) {
            self.fins.pop_front();
        }
    }

    /// Takes the earlier of the first anchor and answer, if it is due.
    fn next(&mut self, is_due: impl Fn(u64) -> bool) -> Option<Event> {
        let anchor_ns = self.anchors.front().map(|anchor| anchor.time_ns);
        let answer_ns = self.answers.front().map(|(time_ns, _)| *time_ns);
        match (anchor_ns, answer_ns) {
            (Some(anchor_ns), answer_ns) if answer_ns.is_none_or(|answer_ns| anchor_ns <= answer_ns) => {
                if is_due(anchor_ns) { self.pop_anchor().map(Event::Anchor) } else { None }
            }
            (_, Some(answer_ns)) if is_due(answer_ns) => self.answers.pop_front().map(|(_, answer)| answer),
            _ => None,
        }
    }

    fn pop_anchor(&mut self) -> Option<Sighting> {
        let anchor = self.anchors.pop_front()?;
        if anchor.segment.syn
            && let Entry::Occupied(mut held) = self.openings.entry(anchor.segment.endpoints)
        {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
        Some(anchor)
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
