//! Answering whoever asks, in a thread of its own: the service's loop may be waiting for its backend or its log,
//! and nobody who only wants to look should wait with it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Status;
use super::socket::{Socket, SocketName, send};
use crate::report::Summary;
use crate::sinks::Watch;

/// Pause after a client could not be accepted, which is for want of descriptors or memory and would fail again at once.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The latest summary, which the service renews and whoever asks is told.
#[derive(Clone, Debug)]
pub struct Latest(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    summary: Summary,
    at: Instant,
    longest_wait: Duration,
}

impl Latest {
    /// With a first one.
    #[must_use]
    pub fn new(summary: Summary) -> Self {
        Self(Arc::new(Mutex::new(Kept { summary, at: Instant::now(), longest_wait: Duration::ZERO })))
    }

    /// Replaces it.
    pub fn set(&self, summary: Summary) {
        let mut kept = self.lock();
        (kept.summary, kept.at) = (summary, Instant::now());
    }

    /// What is told now.
    #[must_use]
    pub fn get(&self) -> Summary {
        self.lock().summary.clone()
    }

    /// How old it is.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.lock().at.elapsed()
    }

    /// How long the loop kept an event waiting at most, without what the backend took.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.lock().longest_wait
    }

    /// Notes that it was so long.
    pub fn set_longest_wait(&self, time: Duration) {
        self.lock().longest_wait = time;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers with `latest`, and with how `log` and `book` do, until the process ends. As long as the name lives, clients find the socket.
///
/// # Errors
/// No thread can be started.
pub fn answer(socket: Socket, latest: Latest, (log, book): (Watch, Option<Watch>)) -> io::Result<SocketName> {
    let Socket { listener, name } = socket;
    let answering = move || {
        loop {
            match listener.accept() {
                Ok((client, _)) => {
                    send(client, &Status::new(&latest, log.condition(), book.as_ref().map(Watch::condition)).json());
                }
                Err(error) => {
                    tracing::debug!("a client of the status socket cannot be accepted: {error}");
                    thread::sleep(ACCEPT_AGAIN);
                }
            }
        }
    };
    thread::Builder::new().name("status".to_owned()).spawn(answering)?;
    Ok(name)
}
