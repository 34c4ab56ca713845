//! A sink that has a thread of its own, so that nobody waits for a reader who has stopped, a terminal that is held, or a disk that
//! is full.
//!
//! What it has to take waits in a bounded queue, in order. What it cannot take stays at the head and is tried again with the next
//! one; when the queue is full, its last two become one. So no byte is lost as long as the service lives.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::SinkError;

/// Most that wait apart.
const MAX_WAITING: usize = 64;

/// What a sink takes.
pub trait Item: Clone + Send + Sync + 'static {
    /// Takes in the next one; gives it back where that cannot be. Adds to `coarse_bytes` those that are told of by user only, for
    /// want of room.
    fn merge(&mut self, next: Self, coarse_bytes: &mut u64) -> Option<Self>;
}

/// Whoever takes what was counted.
pub trait Sink<T>: Send + 'static {
    /// What it is, in a word, for messages.
    fn name(&self) -> &'static str;

    /// Takes all of it, or nothing.
    fn take(&mut self, item: &T) -> Result<(), SinkError>;

    /// What else there is to do, before it takes something: opens anew what was rotated, and the like.
    fn refresh(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// What whoever asks how it does should know beside errors: a sentence.
    fn note(&self) -> Option<String> {
        None
    }
}

/// How a sink does.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Condition {
    /// Reports that wait to be taken.
    pub waiting: usize,
    /// For how long the oldest of them has waited, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_s: Option<f64>,
    /// Why the last one that was tried was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How often it failed since the start.
    pub errors_total: u64,
    /// What else should be known: the book was set aside in this life, or somebody keeps its `-wal` file from shrinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What was not taken at the end.
#[derive(Debug)]
pub struct Untaken<T> {
    /// All of it, the oldest first.
    pub items: Vec<T>,
    /// Why.
    pub reason: SinkError,
}

/// A sink, and the thread in which it works.
pub struct Outlet<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Something was asked for, or done.
    changed: Condvar,
}

struct State<T> {
    waiting: VecDeque<Waiting<T>>,
    refresh: bool,
    /// Nothing comes any more.
    is_closed: bool,
    /// How often something was asked for, and how often that was tried.
    asked: u64,
    tried: u64,
    /// Whoever read has gone.
    is_gone: bool,
    errors: u64,
    failure: Option<SinkError>,
    note: Option<String>,
    /// Bytes of which no more is told than the user, because too much had to wait.
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
    /// Has `sink` work in a thread of its own, which calls `gone` when whoever reads has gone.
    ///
    /// # Errors
    /// No thread can be started.
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

    /// Has `item` taken. Never waits.
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

    /// Has what could not be taken tried again.
    pub fn retry(&self) {
        self.shared.ask(|_| ());
    }

    /// Has the sink do what else there is to do.
    pub fn refresh(&self) {
        self.shared.ask(|state| state.refresh = true);
    }

    /// How often it failed since the start.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.shared.lock().errors
    }

    /// Bytes of which no more is told than the user, because too much had to wait.
    #[must_use]
    pub fn coarse_bytes(&self) -> u64 {
        self.shared.lock().coarse_bytes
    }

    /// How it does now, for whoever asks, in whatever thread.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let shared = Arc::clone(&self.shared);
        Watch(Arc::new(move || shared.lock().condition()))
    }

    /// Whether all that was told is taken, waiting for it no longer than `time`.
    #[must_use]
    pub fn is_idle(&self, time: Duration) -> bool {
        let state = self.shared.lock();
        let waits = |state: &mut State<T>| !state.waiting.is_empty() && state.tried < state.asked;
        let waited = self.shared.changed.wait_timeout_while(state, time, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting.is_empty()
    }

    /// Waits until all that was asked for is done, or `time` is over.
    ///
    /// # Errors
    /// What was not taken, which may have been in part.
    pub fn finish(&self, time: Duration) -> Result<(), Untaken<T>> {
        let deadline = Instant::now() + time;
        // What failed before is tried once more; and twice, because a sink that has just found out what is wrong may have mended it.
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

    /// Waits until what was asked for was tried.
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

/// A view of an outlet.
#[derive(Clone)]
pub struct Watch(Arc<dyn Fn() -> Condition + Send + Sync>);

impl Watch {
    /// How it does now.
    #[must_use]
    pub fn condition(&self) -> Condition {
        (self.0)()
    }
}

/// The thread.
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

    /// Takes what waits, the oldest first, up to the first that fails; breaks when whoever read has gone.
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

    /// What does not work is tried again with the next report.
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
