//! The thread that finds out whose a connection is. It asks the moment a SYN or SYN-ACK leaves, because a connection
//! may last only some hundred microseconds, and again until the answer is final. Its queues are the packet socket's
//! receive buffer, a bounded channel of questions and a bounded heap of second asks: it never holds up the reader.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;

use super::diag::SockDiag;
use super::finding::{Finding, Found, Outcome, Question, Sought, Standing};
use super::network::without_labels;
use super::reader::wall_ns;
use super::segment::{Direction, parse};
use super::socket::PacketSocket;
use super::urgency::Budget;
use crate::capture::{CaptureError, SubordinateRange};

/// Shortest pause before a connection that waits for accept is asked about again.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
/// Longest pause in the first second, in which most are accepted and many are over.
const LIVELY_PAUSE: Duration = Duration::from_millis(5);
/// Longest pause later.
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// Asked for so long, as SYN-ACKs are repeated. After that it is the reader that asks, when there are bytes.
const GIVE_UP_AFTER: Duration = Duration::from_mins(1);
/// Each waiting connection makes the pauses longer by this, so that all of them together take a tenth of a processor.
const PAUSE_PER_WAITING: Duration = Duration::from_micros(50);
/// Most connections that wait for another ask (1.5 MB). A flood of SYNs fills it; the reader asks again, when and if
/// bytes move.
const MAX_WAITING: usize = 16_384;
/// Room for the headers of a SYN: three extension headers of the greatest length, and others.
const LONGEST_HEADERS_BYTES: usize = 8 << 10;
/// Answers of each kind between two looks at the others.
const ANSWERS_PER_ROUND: usize = 64;

/// What the thread works with.
pub struct Owners {
    diag: SockDiag,
    openings: Arc<PacketSocket>,
    wake: Arc<EventFd>,
    questions: Receiver<Question>,
    findings: SyncSender<(u64, Finding)>,
    search_line: Option<SearchLine>,
    subordinates: Subordinates,
    waiting: BinaryHeap<Reverse<Retry>>,
    budget: Budget,
}

/// Users who are found as their owners.
pub struct Subordinates {
    /// Their ranges.
    pub ranges: Vec<SubordinateRange>,
    /// Others that take the place of these.
    pub changed: Receiver<Vec<SubordinateRange>>,
}

impl Subordinates {
    fn renew(&mut self) {
        if let Some(ranges) = self.changed.try_iter().last() {
            self.ranges = ranges;
        }
    }
}

/// Where more is found out than the user.
pub struct SearchLine {
    /// What the searching thread is asked.
    pub sought: SyncSender<Sought>,
    /// The answers to the reader.
    pub found: SyncSender<Found>,
}

impl SearchLine {
    /// With too much to do, nothing will be found.
    fn begin(&self, sought: Sought) {
        if self.sought.try_send(sought).is_err() {
            // With this channel full, too, the connection is its user's when it ends.
            let _ = self.found.try_send(Found { question: sought.question, outcome: Outcome::Nothing });
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Retry {
    due: Instant,
    since: Instant,
    question: ByValue,
}

/// A question in a heap that is ordered by time alone.
struct ByValue(Question);

impl PartialEq for ByValue {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ByValue {}

impl PartialOrd for ByValue {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByValue {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl Owners {
    /// A thread's worth of state: SYNs come from `openings`, questions (announced by `wake`) from the reader, who
    /// gets the findings, each with the wall clock's nanoseconds when it was made. Searches in the `search_line` begin with them. `subordinates` are found as their owners.
    pub fn new(
        openings: Arc<PacketSocket>,
        wake: Arc<EventFd>,
        questions: Receiver<Question>,
        findings: SyncSender<(u64, Finding)>,
        search_line: Option<SearchLine>,
        subordinates: Subordinates,
    ) -> Result<Self, CaptureError> {
        let diag = SockDiag::open()?;
        Ok(Self {
            diag,
            openings,
            wake,
            questions,
            findings,
            search_line,
            subordinates,
            waiting: BinaryHeap::new(),
            budget: Budget::new(),
        })
    }

    /// Works until the reader is gone.
    pub fn run(mut self) -> Result<(), CaptureError> {
        loop {
            self.wait()?;
            self.subordinates.renew();
            self.answer_openings()?;
            if !self.answer_questions() {
                return Ok(());
            }
            self.answer_waiting();
        }
    }

    fn wait(&self) -> Result<(), CaptureError> {
        let timeout = self
            .waiting
            .peek()
            .map(|Reverse(retry)| TimeSpec::from_duration(retry.due.saturating_duration_since(Instant::now())));
        let mut sources =
            [PollFd::new(self.openings.as_fd(), PollFlags::POLLIN), PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut sources, timeout, None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(CaptureError::System { what: "waiting for packets", source: errno.into() }),
        }
        // Before questions are looked for, so that one that comes in between is announced again.
        if sources[1].any() == Some(true) {
            let _ = self.wake.read();
        }
        Ok(())
    }

    fn answer_openings(&mut self) -> Result<(), CaptureError> {
        let mut buffer = [0; LONGEST_HEADERS_BYTES];
        for _ in 0..ANSWERS_PER_ROUND {
            let Some(arrival) = self.openings.receive(&mut buffer)? else { break };
            // The kernel tells the snapped length only; the payload, if any, is of no interest here.
            let (packet, bytes) = without_labels(arrival.ethertype, &buffer[..arrival.captured_bytes], u32::MAX);
            if let Ok(segment) = parse(packet, bytes, Direction::Outgoing)
                && segment.syn
            {
                let (endpoints, birth, interface) = (segment.endpoints, segment.seq, arrival.interface);
                self.answer(Question { endpoints, birth, interface }, Instant::now());
            }
        }
        Ok(())
    }

    /// Gives false when the reader is gone.
    fn answer_questions(&mut self) -> bool {
        for _ in 0..ANSWERS_PER_ROUND {
            match self.questions.try_recv() {
                Ok(question) => self.answer(question, Instant::now()),
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
        // There may be more than were announced.
        let _ = self.wake.write(1);
        true
    }

    fn answer_waiting(&mut self) {
        let now = Instant::now();
        for _ in 0..ANSWERS_PER_ROUND {
            match self.waiting.peek() {
                Some(Reverse(retry)) if retry.due <= now => {}
                _ => return,
            }
            if let Some(Reverse(retry)) = self.waiting.pop() {
                self.answer(retry.question.0, retry.since);
            }
        }
    }

    /// Asks the kernel about a connection that has been asked about `since` then.
    fn answer(&mut self, question: Question, since: Instant) {
        self.budget.spend();
        let finding = match self.diag.ask(&question) {
            Ok(finding) => finding.of_owners(&self.subordinates.ranges),
            Err(error) => {
                // Short of memory, say. The reader does not get to know, and asks again.
                tracing::debug!("{error}");
                return;
            }
        };
        let now = Instant::now();
        let age = now - since;
        if finding.standing == Standing::Unaccepted && age < GIVE_UP_AFTER && self.waiting.len() < MAX_WAITING {
            let due = now + pause(age, self.waiting.len());
            self.waiting.push(Reverse(Retry { due, since, question: ByValue(question) }));
        }
        // With a full channel the reader does not get to know, and asks again.
        if self.findings.try_send((wall_ns(), finding)).is_ok()
            && let Some(search_line) = &self.search_line
            && let Standing::Owned(uid) = finding.standing
        {
            search_line.begin(Sought { question, uid, inode: finding.inode });
        }
    }
}

/// How long to wait before the next ask about a connection of this age. A third of the time it waited for accept is
/// enough for its process to be found.
fn pause(age: Duration, waiting: usize) -> Duration {
    let longest = LIVELY_PAUSE.max(age / 8);
    let share = PAUSE_PER_WAITING * u32::try_from(waiting).unwrap_or(u32::MAX);
    (age / 2).clamp(FIRST_PAUSE, longest).max(share).min(LAST_PAUSE)
}
