//! Connections whose owner is not known yet, because no process has accepted them, and when to ask about each again. Pure; time is passed
//! in.
//!
//! A server may close a connection a moment after it accepted it. An idle server accepts as soon as the handshake is finished; a busy one
//! closes another connection first, and then accepts the one that has waited longest. So the kernel is asked about the longest waiting
//! connection of a port in quick succession when its handshake is found finished, and again whenever another connection ends at that port
//! (FIN, RST). The others are asked about less often.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::finding::Question;

/// Shortest pause before a connection is asked about again.
const SHORTEST_PAUSE: Duration = Duration::from_micros(20);
/// Shortest pause while another connection is to be accepted first.
const PATIENT_PAUSE: Duration = Duration::from_micros(200);
/// Servers that can accept a connection do so within this time; busy ones are not waited for.
const HURRY: Duration = Duration::from_millis(1);
/// Longest pause in the first second, in which most are accepted and many are over.
const LIVELY_PAUSE: Duration = Duration::from_millis(5);
/// Longest pause later.
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// Each waiting connection makes the pauses longer by this, so that all of them together take a tenth of a processor.
const PAUSE_PER_WAITING: Duration = Duration::from_micros(50);
/// A handshake may take this long: SYN-ACKs are repeated.
const LONGEST_HANDSHAKE: Duration = Duration::from_mins(1);
/// Most connections that wait (4 MB). A flood of SYNs fills it; a connection with a finished handshake replaces the one that would be asked
/// about last. The reader asks about all others, if and when bytes move.
const MAX_WAITING: usize = 16_384;
/// Connections at one port that are searched for one that can be hurried.
const MOST_HURRIED: usize = 16;

/// The connections that wait, and the order in which they are asked about.
#[derive(Debug, Default)]
pub struct Waiting {
    all: HashMap<u64, Entry>,
    ids: HashMap<Question, u64>,
    by_due: BTreeSet<(Instant, u64)>,
    /// Those with a finished handshake, by local port, the oldest first.
    by_port: BTreeSet<(u16, u64)>,
    next_id: u64,
}

/// A waiting connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// What is asked.
    pub question: Question,
    /// Its place among all that wait.
    id: u64,
    since: Instant,
    /// Its handshake is finished.
    is_complete: bool,
    /// When it last could be accepted, as far as is known.
    hurried: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    retry: Retry,
    due: Instant,
}

impl Retry {
    fn is_hurried(&self, now: Instant) -> bool {
        self.hurried.is_some_and(|hurried| now - hurried < HURRY)
    }

    /// How long to wait before asking again. A third of the time since it could be accepted is enough to find its process.
    fn pause(&self, now: Instant, waiting: usize) -> Duration {
        if let Some(hurried) = self.hurried.filter(|_| self.is_hurried(now)) {
            return ((now - hurried) / 3).max(SHORTEST_PAUSE);
        }
        let age = now - self.since;
        let share = PAUSE_PER_WAITING * u32::try_from(waiting).unwrap_or(u32::MAX);
        let shortest = if self.is_complete { PATIENT_PAUSE } else { SHORTEST_PAUSE };
        (age / 2).clamp(shortest, LIVELY_PAUSE.max(age / 8)).max(share).min(LAST_PAUSE)
    }
}

impl Waiting {
    /// Begins a question that is asked now; a waiting one keeps its place.
    pub fn begin(&mut self, question: Question, now: Instant) -> Retry {
        if let Some(waiting) = self.ids.get(&question).copied().and_then(|id| self.take(id)) {
            return waiting;
        }
        self.next_id += 1;
        Retry { question, id: self.next_id, since: now, is_complete: false, hurried: None }
    }

    /// Lets a connection without an owner wait, to be asked about again later. A handshake that takes too long is given up.
    pub fn put(&mut self, mut retry: Retry, is_complete: bool, now: Instant) {
        if !is_complete && (self.all.len() >= MAX_WAITING || now - retry.since > LONGEST_HANDSHAKE) {
            return;
        }
        if self.all.len() >= MAX_WAITING
            && let Some(&(_, last)) = self.by_due.last()
        {
            self.take(last);
        }
        retry.is_complete = is_complete;
        let port = retry.question.endpoints.local_port;
        if is_complete && self.by_port.range((port, 0)..(port, retry.id)).next().is_none() {
            retry.hurried.get_or_insert(now);
        }
        let due = now + retry.pause(now, self.all.len());
        self.by_due.insert((due, retry.id));
        if is_complete {
            self.by_port.insert((port, retry.id));
        }
        self.ids.insert(retry.question, retry.id);
        self.all.insert(retry.id, Entry { retry, due });
    }

    /// The same, if the question was not answered.
    pub fn put_back(&mut self, retry: Retry, now: Instant) {
        let is_complete = retry.is_complete;
        self.put(retry, is_complete, now);
    }

    /// It waits no more. The process that accepted it may have accepted others.
    pub fn end(&mut self, retry: &Retry, now: Instant) {
        if retry.is_complete {
            self.hurry(retry.question.endpoints.local_port, now);
        }
    }

    /// A connection at this local port ended: its server may accept the next one now.
    pub fn hurry(&mut self, port: u16, now: Instant) {
        let there = self.by_port.range((port, 0)..=(port, u64::MAX)).take(MOST_HURRIED).map(|&(_, id)| id);
        let next = there.into_iter().find(|id| self.all.get(id).is_some_and(|entry| !entry.retry.is_hurried(now)));
        if let Some(id) = next
            && let Some(entry) = self.all.get_mut(&id)
        {
            self.by_due.remove(&(entry.due, id));
            entry.due = now;
            entry.retry.hurried = Some(now);
            self.by_due.insert((now, id));
        }
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.by_due.first().map(|&(due, _)| due)
    }

    /// Takes one that is due.
    pub fn take_due(&mut self, now: Instant) -> Option<Retry> {
        let (due, id) = *self.by_due.first()?;
        if due > now {
            return None;
        }
        self.take(id)
    }

    fn take(&mut self, id: u64) -> Option<Retry> {
        let Entry { retry, due } = self.all.remove(&id)?;
        self.ids.remove(&retry.question);
        self.by_due.remove(&(due, id));
        self.by_port.remove(&(retry.question.endpoints.local_port, id));
        Some(retry)
    }
}

#[cfg(test)]
#[path = "waiting_tests.rs"]
mod tests;
