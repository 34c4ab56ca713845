//! The thread that finds the owner of each connection. It asks as soon as a SYN or SYN-ACK leaves, because a connection may last only some
//! hundred microseconds, and again until the answer is final. Its queues are the packet socket's receive buffer, a bounded channel of
//! questions and a bounded number of connections to ask about again: it never holds up the reader.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use super::diag::SockDiag;
use super::finding::{Finding, Found, Outcome, Question, Sought, Standing};
use super::network::without_labels;
use super::reader::wall_ns;
use super::segment::{Direction, Segment, parse};
use super::socket::PacketSocket;
use super::urgency::Budget;
use super::waiting::{Retry, Waiting};
use crate::capture::{CaptureError, SubordinateRange};

/// Room for the headers of a SYN: three of the longest extension headers, and others.
const LONGEST_HEADERS_BYTES: usize = 8 << 10;
/// Answers of one kind before the others get their turn.
const ANSWERS_PER_ROUND: usize = 64;

/// The state of the thread.
pub struct Owners {
    diag: SockDiag,
    beginnings_and_ends: Arc<PacketSocket>,
    wake: Arc<EventFd>,
    questions: Receiver<Question>,
    findings: SyncSender<(u64, Finding)>,
    search_line: Option<SearchLine>,
    subordinates: Subordinates,
    waiting: Waiting,
    budget: Budget,
}

/// Users replaced by their owners.
pub struct Subordinates {
    /// Their ranges.
    pub ranges: Vec<SubordinateRange>,
    /// New ranges that replace these.
    pub changed: Receiver<Vec<SubordinateRange>>,
}

impl Subordinates {
    fn renew(&mut self) {
        if let Some(ranges) = self.changed.try_iter().last() {
            self.ranges = ranges;
        }
    }
}

/// The channels of the search thread.
pub struct SearchLine {
    /// Questions to the search thread.
    pub sought: SyncSender<Sought>,
    /// Answers to the reader.
    pub found: SyncSender<Found>,
}

impl SearchLine {
    /// If it is too busy, nothing will be found.
    fn begin(&self, sought: Sought) {
        if self.sought.try_send(sought).is_err() {
            // If this channel is full, too, the connection goes to its user at its end.
            let _ = self.found.try_send(Found { question: sought.question, outcome: Outcome::Nothing });
        }
    }
}

impl Owners {
    /// SYN, FIN and RST come from `beginnings_and_ends`, questions (announced by `wake`) from the reader. It gets the findings, each with
    /// the nanoseconds of the wall clock when it was made. Searches in the `search_line` begin with findings. `subordinates` are replaced
    /// by their owners.
    pub fn new(
        beginnings_and_ends: Arc<PacketSocket>,
        wake: Arc<EventFd>,
        questions: Receiver<Question>,
        findings: SyncSender<(u64, Finding)>,
        search_line: Option<SearchLine>,
        subordinates: Subordinates,
    ) -> Result<Self, CaptureError> {
        let diag = SockDiag::open()?;
        Ok(Self {
            diag,
            beginnings_and_ends,
            wake,
            questions,
            findings,
            search_line,
            subordinates,
            waiting: Waiting::default(),
            budget: Budget::new(),
        })
    }

    /// Works until the reader is gone.
    pub fn run(mut self) -> Result<(), CaptureError> {
        loop {
            self.wait()?;
            self.subordinates.renew();
            self.follow_connections()?;
            if !self.answer_questions() {
                return Ok(());
            }
            self.answer_waiting();
        }
    }

    fn wait(&self) -> Result<(), CaptureError> {
        let due = self.waiting.next_due().map(|due| self.budget.retries_from().map_or(due, |from| due.max(from)));
        let timeout = due.map(|due| TimeSpec::from_duration(due.saturating_duration_since(Instant::now())));
        let mut sources =
            [self.beginnings_and_ends.as_fd(), self.wake.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match ppoll(&mut sources, timeout, None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(CaptureError::System { what: "waiting for packets", source: errno.into() }),
        }
        // Cleared before questions are read, so that one that comes in between is announced again.
        if sources[1].any() == Some(true) {
            let _ = self.wake.read();
        }
        Ok(())
    }

    /// Asks about each connection that begins, and again about a waiting one when another ends.
    fn follow_connections(&mut self) -> Result<(), CaptureError> {
        let mut buffer = [0; LONGEST_HEADERS_BYTES];
        for _ in 0..ANSWERS_PER_ROUND {
            let Some(arrival) = self.beginnings_and_ends.receive(&mut buffer)? else { break };
            // The kernel reports only the snapped length; the payload, if any, is not needed here.
            let (packet, bytes) = without_labels(arrival.ethertype, &buffer[..arrival.captured_bytes], u32::MAX);
            let Ok(segment) = parse(packet, bytes, Direction::Outgoing) else { continue };
            if segment.syn {
                let (endpoints, birth, interface) = (segment.endpoints, segment.seq, arrival.interface);
                self.begin(Question { endpoints, birth, interface });
            } else if segment.fin || is_reset_of_a_connection(&segment) {
                self.waiting.hurry(segment.endpoints.local_port, Instant::now());
            }
        }
        Ok(())
    }

    /// Returns false if the reader is gone.
    fn answer_questions(&mut self) -> bool {
        for _ in 0..ANSWERS_PER_ROUND {
            match self.questions.try_recv() {
                Ok(question) => self.begin(question),
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
        // More questions may be waiting.
        let _ = self.wake.write(1);
        true
    }

    fn answer_waiting(&mut self) {
        let now = Instant::now();
        for _ in 0..ANSWERS_PER_ROUND {
            if self.budget.retries_from().is_some_and(|from| from > now) {
                return;
            }
            let Some(retry) = self.waiting.take_due(now) else { return };
            self.answer(retry);
        }
    }

    fn begin(&mut self, question: Question) {
        let retry = self.waiting.begin(question, Instant::now());
        self.answer(retry);
    }

    /// Asks the kernel about a connection.
    fn answer(&mut self, retry: Retry) {
        let question = retry.question;
        self.budget.spend();
        let before = processor_time();
        let answer = self.diag.ask(&question);
        self.budget.add(processor_time().saturating_sub(before));
        let finding = match answer {
            Ok(finding) => finding.of_owners(&self.subordinates.ranges),
            Err(error) => {
                // Short of memory, say.
                tracing::debug!("{error}");
                self.waiting.put_back(retry, Instant::now());
                return;
            }
        };
        if matches!(finding.standing, Standing::HalfOpen | Standing::Unaccepted) {
            self.waiting.put(retry, finding.standing == Standing::Unaccepted, Instant::now());
        } else {
            self.waiting.end(&retry, Instant::now());
        }
        // If the channel is full, the reader gets no answer, and asks again.
        if self.findings.try_send((wall_ns(), finding)).is_ok()
            && let Some(search_line) = &self.search_line
            && let Standing::Owned(uid) = finding.standing
        {
            search_line.begin(Sought { question, uid, inode: finding.inode });
        }
    }
}

/// The processor time of this thread. On a busy host, elapsed time says little about it.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Whether a socket sent this RST. The kernel also sends one for a segment that belongs to no connection, so anybody can trigger it; such
/// an RST has no ACK, or the sequence number 0 (RFC 9293, section 3.5.2).
const fn is_reset_of_a_connection(segment: &Segment) -> bool {
    segment.rst && segment.ack.is_some() && segment.seq != 0
}
