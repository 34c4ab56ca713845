//! One client of the reports socket: its request, and the lines that wait until it reads them.
//!
//! Nothing here blocks. What does not fit is dropped and counted, so a client's memory is bounded whatever it does.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::stream::{Dropped, MAX_EVERY_MS, MIN_EVERY_MS, Refusal, Request};
use super::view::View;
use crate::sinks::write_json;

/// Longest line that a client may send, in bytes.
pub(super) const MAX_REQUEST_BYTES: usize = 256;
/// Most bytes that wait for a client, unless a single report or sample is longer. The kernel buffers some hundred
/// thousand more.
pub(super) const MAX_WAITING_BYTES: usize = 256 << 10;
/// How early a look may be.
const TOLERANCE: Duration = Duration::from_millis(100);

/// Lines, shared by all clients that get the same.
pub(super) type Lines = Arc<[u8]>;

/// One line of JSON.
pub(super) fn line(record: &impl Serialize) -> Lines {
    let mut text = Vec::new();
    write_json(record, &mut text);
    text.push(b'\n');
    text.into()
}

/// A client.
pub(super) struct Reader {
    pub(super) stream: UnixStream,
    pub(super) view: View,
    asked: Asked,
    waiting: VecDeque<Lines>,
    /// Bytes of the first of them already written.
    written: usize,
    dropped: Dropped,
    /// How often samples are wanted, and when the next one is due.
    every: Option<(Duration, Instant)>,
    /// Samples come no more often than this.
    least: Duration,
    /// The last look that was sent.
    pub(super) known: u64,
    state: State,
}

/// What the client has sent so far.
enum Asked {
    /// A part of a line, or nothing.
    Part(Vec<u8>),
    /// A whole line.
    Line,
    /// Nothing more is read.
    End,
}

#[derive(PartialEq, Eq)]
enum State {
    Open,
    /// It is closed once the queue is written.
    Closing,
    Gone,
}

impl Reader {
    /// Greets with `hello`; samples are at least `least` apart. The stream must not block.
    pub(super) fn new(stream: UnixStream, view: View, hello: Lines, least: Duration) -> Self {
        Self {
            stream,
            view,
            asked: Asked::Part(Vec::new()),
            waiting: VecDeque::from([hello]),
            written: 0,
            dropped: Dropped::default(),
            every: None,
            least,
            known: 0,
            state: State::Open,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Whether its input is still read.
    pub(super) const fn listens(&self) -> bool {
        !matches!(self.asked, Asked::End)
    }

    /// Whether something waits to be written.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How much waits, in bytes.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(|lines| lines.len()).sum()
    }

    pub(super) fn every(&self) -> Option<Duration> {
        self.every.map(|every| every.0)
    }

    /// Reads what the client sent.
    pub(super) fn hear(&mut self, now: Instant) {
        // One byte too many shows that it is too long.
        let mut bytes = [0; MAX_REQUEST_BYTES + 1];
        match self.stream.read(&mut bytes) {
            // The client may go on reading.
            Ok(0) => self.asked = Asked::End,
            Ok(length) => {
                if let Err(why) = self.heard(&bytes[..length], now) {
                    self.refuse(why);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.state = State::Gone,
        }
    }

    fn heard(&mut self, bytes: &[u8], now: Instant) -> Result<(), Cow<'static, str>> {
        let Asked::Part(part) = &mut self.asked else {
            return Err("a client may send one line only".into());
        };
        part.extend_from_slice(bytes);
        let Some(end) = part.iter().position(|byte| *byte == b'\n') else {
            return if part.len() > MAX_REQUEST_BYTES { Err(too_long()) } else { Ok(()) };
        };
        if end >= MAX_REQUEST_BYTES {
            return Err(too_long());
        }
        if end + 1 < part.len() {
            return Err("a client may send one line only".into());
        }
        let request: Request = serde_json::from_slice(&part[..end])
            .map_err(|_| Cow::Borrowed("the line is not understood; it should be as {\"every_ms\":1000}"))?;
        if !(MIN_EVERY_MS..=MAX_EVERY_MS).contains(&request.every_ms) {
            return Err(format!("every_ms may be {MIN_EVERY_MS} to {MAX_EVERY_MS}").into());
        }
        self.asked = Asked::Line;
        self.every = Some((Duration::from_millis(request.every_ms).max(self.least), now));
        Ok(())
    }

    /// Queues the reason and closes; no sample or report follows.
    pub(super) fn refuse(&mut self, why: Cow<'static, str>) {
        self.waiting.push_back(line(&Refusal { error: why }));
        (self.asked, self.every, self.state) = (Asked::End, None, State::Closing);
    }

    /// Whether a look at `now` is due for this client.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let Some((every, due)) = &mut self.every else { return false };
        let is_due = now + TOLERANCE >= *due;
        if is_due {
            *due = now + *every;
        }
        is_due
    }

    /// Queues the sample of look `number`, unless earlier lines still wait.
    pub(super) fn tell_sample(&mut self, number: u64, lines: impl FnOnce() -> Lines) {
        match self.state {
            State::Open if self.waits() => self.dropped.samples += 1,
            State::Open => {
                self.waiting.push_back(lines());
                self.known = number;
            }
            State::Closing | State::Gone => {}
        }
    }

    /// Queues a report, if there is room for it.
    pub(super) fn tell_report(&mut self, lines: impl FnOnce() -> Lines) {
        if self.state != State::Open {
            return;
        }
        let lines = lines();
        if self.waits() && self.waiting_bytes() + lines.len() > MAX_WAITING_BYTES {
            self.dropped.reports += 1;
        } else {
            self.waiting.push_back(lines);
        }
    }

    /// Counts reports that were dropped before they came here.
    pub(super) fn missed_reports(&mut self, count: u64) {
        self.dropped.reports += count;
    }

    /// Writes what the socket takes now. Once all is written, adds what was dropped meanwhile.
    pub(super) fn write(&mut self) {
        while self.state != State::Gone {
            let Some(lines) = self.waiting.front() else {
                if self.state == State::Closing {
                    self.state = State::Gone;
                } else if self.dropped != Dropped::default() {
                    self.waiting.push_back(line(&std::mem::take(&mut self.dropped)));
                    continue;
                }
                return;
            };
            match self.stream.write(&lines[self.written..]) {
                Ok(length) => {
                    self.written += length;
                    if self.written == lines.len() {
                        self.waiting.pop_front();
                        self.written = 0;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.state = State::Gone,
            }
        }
    }

    /// The other end was closed.
    pub(super) fn hung_up(&mut self) {
        self.state = State::Gone;
    }
}

fn too_long() -> Cow<'static, str> {
    format!("the line is longer than {MAX_REQUEST_BYTES} bytes").into()
}
