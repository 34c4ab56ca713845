//! Runs a sink in a thread of its own, so that the service does not wait for a stopped reader, a held terminal, or a
//! full disk.
//!
//! Items wait in a bounded queue, in order. An item that the sink could not take stays at the head and is tried again
//! with the next one. When the queue is full, a new item is merged into the last one. So no byte is lost while the
//! service lives.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::SinkError;

/// Most items that wait separately.
const MAX_WAITING: usize = 64;

/// An item for a sink.
pub trait Item: Clone + Send + Sync + 'static {
    /// Merges the next item into this one; returns it if that is not possible. Adds to `coarse_bytes` the bytes that
    /// are then reported by user only, for lack of room.
    fn merge(&mut self, next: Self, coarse_bytes: &mut u64) -> Option<Self>;
}

/// Takes items, such as reports.
pub trait Sink<T>: Send + 'static {
    /// Its name in messages, one word.
    fn name(&self) -> &'static str;

    /// Takes the whole item, or nothing of it.
    fn take(&mut self, item: &T) -> Result<(), SinkError>;

    /// Other work before an item is taken, such as reopening a rotated file.
    fn refresh(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// A sentence for the status, in addition to errors.
    fn note(&self) -> Option<String> {
        None
    }
}

/// The condition of a sink.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Condition {
    /// Number of items that wait.
    pub waiting: usize,
    /// How long the oldest of them has waited, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_s: Option<f64>,
    /// Why the last item that was tried was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Number of failures since the start.
    pub errors_total: u64,
    /// Other facts: the book was set aside in this epoch, or a reader keeps its `-wal` file from shrinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What the sink had not taken at the end.
#[derive(Debug)]
pub struct Untaken<T> {
    /// The items, oldest first.
    pub items: Vec<T>,
    /// Why.
    pub reason: SinkError,
}

/// A sink and its thread.
pub struct Outlet<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Notified when something was requested or done.
    changed: Condvar,
}

struct State<T> {
    waiting: VecDeque<Waiting<T>>,
    refresh: bool,
    /// Set when no more items come.
    is_closed: bool,
    /// Number of requests, and how many of them were tried.
    asked: u64,
    tried: u64,
    /// The sink's reader is gone.
    is_gone: bool,
    errors: u64,
    failure: Option<SinkError>,
    note: Option<String>,
    /// Bytes reported by user only, because too much waited.
    coarse_bytes: u64,
}

struct Waiting<T> {
    item: Arc<T>,
    since: Instant,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, what: impl FnOnce(&mut State<T>)) {
        let mut state = self.lock();
        what(&mut state);
        state.asked += 1;
        self.changed.notify_all();
    }
}

impl<T: Item> Outlet<T> {
    /// Starts a thread that runs `sink`, and calls `gone` when the sink's reader is gone.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(sink: impl Sink<T>, gone: impl Fn() + Send + 'static) -> io::Result<Self> {
        let state = State {
            waiting: VecDeque::new(),
            refresh: false,
            is_closed: false,
            asked: 0,
            tried: 0,
            is_gone: false,
            errors: 0,
            failure: None,
            note: sink.note(),
            coarse_bytes: 0,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (name, worker) = (sink.name().to_owned(), Worker { shared: Arc::clone(&shared), sink });
        thread::Builder::new().name(name).spawn(move || worker.run(&gone))?;
        Ok(Self { shared })
    }

    /// Queues `item`. Never waits.
    pub fn tell(&self, item: T) {
        self.shared.ask(|state| {
            let is_full = state.waiting.len() >= MAX_WAITING;
            let rest = match state.waiting.back_mut().filter(|_| is_full) {
                Some(last) => Arc::make_mut(&mut last.item).merge(item, &mut state.coarse_bytes),
                None => Some(item),
            };
            if let Some(item) = rest {
                state.waiting.push_back(Waiting { item: Arc::new(item), since: Instant::now() });
            }
        });
    }

    /// Tries again what could not be taken.
    pub fn retry(&self) {
        self.shared.ask(|_| ());
    }

    /// Requests the sink's [`Sink::refresh`].
    pub fn refresh(&self) {
        self.shared.ask(|state| state.refresh = true);
    }

    /// Number of failures since the start.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.shared.lock().errors
    }

    /// Bytes reported by user only, because too much waited.
    #[must_use]
    pub fn coarse_bytes(&self) -> u64 {
        self.shared.lock().coarse_bytes
    }

    /// A handle that any thread can ask for the condition.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let shared = Arc::clone(&self.shared);
        Watch(Arc::new(move || shared.lock().condition()))
    }

    /// Whether everything queued is taken. Waits for pending attempts, at most `time`.
    #[must_use]
    pub fn is_idle(&self, time: Duration) -> bool {
        let state = self.shared.lock();
        let waits = |state: &mut State<T>| !state.waiting.is_empty() && state.tried < state.asked;
        let waited = self.shared.changed.wait_timeout_while(state, time, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting.is_empty()
    }

    /// Waits until all requests are done, or `time` is over.
    ///
    /// # Errors
    /// The items that were not taken. Parts of them may have been.
    pub fn finish(&self, time: Duration) -> Result<(), Untaken<T>> {
        let deadline = Instant::now() + time;
        // A failed item is tried again, and once more after that, because the sink may have repaired the cause.
        let mut state = self.try_until(deadline);
        if !state.waiting.is_empty() && !state.is_gone && state.tried == state.asked {
            drop(state);
            state = self.try_until(deadline);
        }
        if state.waiting.is_empty() || state.is_gone {
            return Ok(());
        }
        let is_stuck = state.tried < state.asked;
        let items = state.waiting.iter().map(|waiting| T::clone(&waiting.item)).collect();
        let reason = state.failure.take().filter(|_| !is_stuck).unwrap_or(SinkError::Stuck);
        Err(Untaken { items, reason })
    }

    fn try_until(&self, deadline: Instant) -> MutexGuard<'_, State<T>> {
        self.retry();
        let waits = |state: &mut State<T>| state.tried < state.asked && !state.is_gone;
        let time = deadline.saturating_duration_since(Instant::now());
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), time, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits until all requests were tried.
    #[cfg(test)]
    pub(crate) fn settle(&self) {
        let state = self.shared.lock();
        drop(self.shared.changed.wait_while(state, |state| state.tried < state.asked && !state.is_gone).unwrap());
    }
}

impl<T> Drop for Outlet<T> {
    fn drop(&mut self) {
        self.shared.ask(|state| state.is_closed = true);
    }
}

impl<T> State<T> {
    fn condition(&self) -> Condition {
        Condition {
            waiting: self.waiting.len(),
            waiting_s: self.waiting.front().map(|waiting| waiting.since.elapsed().as_secs_f64()),
            error: self.failure.as_ref().map(ToString::to_string),
            errors_total: self.errors,
            note: self.note.clone(),
        }
    }
}

/// A handle to the condition of an outlet.
#[derive(Clone)]
pub struct Watch(Arc<dyn Fn() -> Condition + Send + Sync>);

impl Watch {
    /// The condition now.
    #[must_use]
    pub fn condition(&self) -> Condition {
        (self.0)()
    }
}

/// What the thread runs.
struct Worker<T, S> {
    shared: Arc<Shared<T>>,
    sink: S,
}

impl<T, S: Sink<T>> Worker<T, S> {
    fn run(mut self, gone: &dyn Fn()) {
        let mut tried = 0;
        loop {
            let state = self.shared.lock();
            let idle = |state: &mut State<T>| state.asked == tried;
            let state = self.shared.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
            let (asked, is_closed, refresh) = (state.asked, state.is_closed, state.refresh);
            drop(state);
            if refresh {
                self.refresh();
            }
            let is_gone = self.take_all().is_break();
            if is_gone {
                gone();
            }
            tried = asked;
            let note = self.sink.note();
            let mut state = self.shared.lock();
            (state.tried, state.is_gone, state.note) = (tried, is_gone, note);
            drop(state);
            self.shared.changed.notify_all();
            if is_gone || is_closed {
                return;
            }
        }
    }

    /// Takes the queued items, oldest first, until one fails; breaks when the sink's reader is gone.
    fn take_all(&mut self) -> ControlFlow<()> {
        loop {
            let Some(item) = self.shared.lock().waiting.front().map(|waiting| Arc::clone(&waiting.item)) else {
                return ControlFlow::Continue(());
            };
            let taken = self.sink.take(&item);
            drop(item);
            match taken {
                Ok(()) => self.taken(),
                Err(error) => return self.failed(error),
            }
        }
    }

    fn taken(&self) {
        let mut state = self.shared.lock();
        state.waiting.pop_front();
        let failure = state.failure.take();
        drop(state);
        if failure.is_some() {
            tracing::info!("the {} is written again, with all that waited", self.sink.name());
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

    /// A failed refresh is tried again with the next report.
    fn refresh(&mut self) {
        match self.sink.refresh() {
            Ok(()) => self.shared.lock().refresh = false,
            Err(error) => {
                self.shared.lock().errors += 1;
                tracing::error!(
                    "{error}; writing goes on to the old {}, and each report tries again",
                    self.sink.name()
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
