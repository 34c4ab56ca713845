//! The summary that answers a request for the status.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::report::Summary;

/// The latest summary, which the service renews and sends to status clients.
#[derive(Clone, Debug)]
pub struct Latest(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    summary: Summary,
    at: Instant,
    longest_wait: Duration,
}

impl Latest {
    /// Starts with `summary`.
    #[must_use]
    pub fn new(summary: Summary) -> Self {
        Self(Arc::new(Mutex::new(Kept { summary, at: Instant::now(), longest_wait: Duration::ZERO })))
    }

    /// Replaces it.
    pub fn set(&self, summary: Summary) {
        let mut kept = self.lock();
        (kept.summary, kept.at) = (summary, Instant::now());
    }

    /// The current summary.
    #[must_use]
    pub fn get(&self) -> Summary {
        self.lock().summary.clone()
    }

    /// How old it is.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.lock().at.elapsed()
    }

    /// The longest time that the loop kept an event waiting, without the backend's time.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.lock().longest_wait
    }

    /// Replaces the longest wait.
    pub fn set_longest_wait(&self, time: Duration) {
        self.lock().longest_wait = time;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
