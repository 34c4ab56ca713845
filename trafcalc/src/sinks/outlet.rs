//! A log that is written in a thread of its own, so that nobody waits for a reader who has stopped, a terminal that is held, or a
//! disk that is full.
//!
//! Reports wait in a bounded queue, in order. What cannot be written stays at its head and is tried again with the next one;
//! when the queue is full, its last two become one. So no byte is lost as long as the service lives.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Format, Log, SinkError};
use crate::report::Report;

/// Most reports that wait apart.
const MAX_WAITING: usize = 64;

/// How a log does.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Condition {
    /// Reports that wait to be written.
    pub waiting: usize,
    /// Since when the oldest of them has waited, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_s: Option<f64>,
    /// Why the last one that was tried was not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Reports that could not be written at once, and failed reopenings, since the start.
    pub errors_total: u64,
}

/// What did not reach the log at the end.
#[derive(Debug)]
pub struct Unwritten {
    /// Its records.
    pub records: Vec<u8>,
    /// Why.
    pub reason: SinkError,
}

/// A log, and the thread that writes it.
pub struct Outlet {
    shared: Arc<Shared>,
    format: Arc<dyn Format>,
}

struct Shared {
    state: Mutex<State>,
    /// Something was asked for, or done.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    reopen: bool,
    /// Nothing comes any more.
    is_closed: bool,
    /// How often something was asked for, and how often that was tried.
    asked: u64,
    tried: u64,
    is_over: bool,
    errors: u64,
    failure: Option<SinkError>,
}

struct Waiting {
    report: Arc<Report>,
    since: Instant,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, what: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        what(&mut state);
        state.asked += 1;
        self.changed.notify_all();
    }
}

impl Outlet {
    /// Writes to `log` from now on, in a thread of its own, which calls `gone` when whoever reads has gone.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(log: Log, gone: impl Fn() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let format = Arc::clone(&log.format);
        let writer = Writer { shared: Arc::clone(&shared), log, buffer: Vec::new() };
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&gone))?;
        Ok(Self { shared, format })
    }

    /// Has `report` written. Never waits.
    pub fn tell(&self, report: Report) {
        self.shared.ask(|state| {
            if state.waiting.len() >= MAX_WAITING
                && let Some(last) = state.waiting.back_mut()
            {
                Arc::make_mut(&mut last.report).merge(report);
            } else {
                state.waiting.push_back(Waiting { report: Arc::new(report), since: Instant::now() });
            }
        });
    }

    /// Has the log opened anew, as after a rotation.
    pub fn reopen(&self) {
        self.shared.ask(|state| state.reopen = true);
    }

    /// Reports that could not be written at once, and failed reopenings, since the start.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.shared.lock().errors
    }

    /// How it does now, for whoever asks, in whatever thread.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.shared))
    }

    /// Waits until everything is written, or `time` is over.
    ///
    /// # Errors
    /// What was not written, which may have been in part.
    pub fn finish(&self, time: Duration) -> Result<(), Unwritten> {
        self.shared.ask(|state| state.is_closed = true);
        let state = self.shared.lock();
        let (mut state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, time, |state| !state.is_over)
            .unwrap_or_else(PoisonError::into_inner);
        if state.waiting.is_empty() || matches!(state.failure, Some(SinkError::ReaderGone)) {
            return Ok(());
        }
        let mut records = Vec::new();
        state.waiting.iter().for_each(|waiting| self.format.encode(&waiting.report, &mut records));
        let failure = state.failure.take();
        Err(Unwritten { records, reason: if state.is_over { failure } else { None }.unwrap_or(SinkError::Stuck) })
    }

    /// Waits until what was asked for was tried.
    #[cfg(test)]
    pub(crate) fn settle(&self) {
        let state = self.shared.lock();
        drop(self.shared.changed.wait_while(state, |state| state.tried < state.asked && !state.is_over).unwrap());
    }
}

/// A view of an outlet.
#[derive(Clone)]
pub struct Watch(Arc<Shared>);

impl Watch {
    /// How the log does now.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let state = self.0.lock();
        Condition {
            waiting: state.waiting.len(),
            waiting_s: state.waiting.front().map(|waiting| waiting.since.elapsed().as_secs_f64()),
            error: state.failure.as_ref().map(ToString::to_string),
            errors_total: state.errors,
        }
    }
}

/// The thread.
struct Writer {
    shared: Arc<Shared>,
    log: Log,
    buffer: Vec<u8>,
}

impl Writer {
    fn run(mut self, gone: &dyn Fn()) {
        let mut tried = 0;
        loop {
            let state = self.shared.lock();
            let state = self
                .shared
                .changed
                .wait_while(state, |state| state.asked == tried)
                .unwrap_or_else(PoisonError::into_inner);
            let (asked, is_closed, reopen) = (state.asked, state.is_closed, state.reopen);
            drop(state);
            if reopen {
                self.reopen();
            }
            let is_gone = self.write_all().is_break();
            if is_gone {
                gone();
            }
            tried = asked;
            let mut state = self.shared.lock();
            state.tried = tried;
            // What came meanwhile is written first.
            state.is_over = is_gone || (is_closed && state.asked == tried);
            let is_over = state.is_over;
            drop(state);
            self.shared.changed.notify_all();
            if is_over {
                return;
            }
        }
    }

    /// Writes what waits, the oldest first, up to the first that fails; breaks when whoever read has gone.
    fn write_all(&mut self) -> ControlFlow<()> {
        loop {
            let Some(report) = self.shared.lock().waiting.front().map(|waiting| Arc::clone(&waiting.report)) else {
                return ControlFlow::Continue(());
            };
            self.buffer.clear();
            self.log.format.encode(&report, &mut self.buffer);
            drop(report);
            let written = self.log.destination.append(&self.buffer);
            match written {
                Ok(()) => self.written(),
                Err(error) => return self.failed(error),
            }
        }
    }

    fn written(&self) {
        let mut state = self.shared.lock();
        state.waiting.pop_front();
        let failure = state.failure.take();
        drop(state);
        if failure.is_some() {
            tracing::info!("the log is written again, with all that waited");
        }
    }

    fn failed(&self, error: SinkError) -> ControlFlow<()> {
        let is_gone = matches!(error, SinkError::ReaderGone);
        let sentence = error.to_string();
        let mut state = self.shared.lock();
        state.errors += u64::from(!is_gone);
        let former = state.failure.replace(error);
        drop(state);
        if is_gone {
            return ControlFlow::Break(());
        }
        if former.is_none() {
            tracing::error!("{sentence}; counting goes on, and each report tries again");
        }
        ControlFlow::Continue(())
    }

    /// Opens the log anew; what has not worked is tried again with the next report.
    fn reopen(&mut self) {
        match self.log.destination.reopen() {
            Ok(()) => self.shared.lock().reopen = false,
            Err(error) => {
                self.shared.lock().errors += 1;
                tracing::error!("{error}; the old log is written on, and each report tries again");
            }
        }
    }
}

#[cfg(test)]
mod tests;
