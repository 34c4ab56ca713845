//! What the service's loop and book hand to the thread that serves clients, without waiting for it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::changes::Look;
use crate::report::{Beside, Report};

/// Limit of queued reports. The thread never blocks on a client, so it lags only while it gets no processor.
const MAX_REPORTS: usize = 16;

/// Called when the wanted period of samples changes; `None`: none are wanted.
pub type SetEvery = Box<dyn Fn(Option<Duration>) + Send>;

/// The clients of the reports socket, as the service sees them.
#[derive(Clone)]
pub struct Audience(Arc<Shared>);

struct Shared {
    inbox: Mutex<Inbox>,
    /// Signalled once the inbox's contents were sent.
    told: Condvar,
    /// Readable while the inbox is not empty.
    wake: EventFd,
}

/// A report, and the lines sent before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) beside: Beside,
    pub(crate) report: Option<Report>,
}

/// What is to be sent.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) reports: VecDeque<Told>,
    /// Reports dropped for lack of room.
    pub(crate) missed: u64,
    /// The last look; its totals include any earlier look that was not sent.
    pub(crate) look: Option<Look>,
    is_there: bool,
    is_busy: bool,
}

impl Audience {
    /// Has no clients yet.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn new() -> io::Result<Self> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self(Arc::new(Shared { inbox: Mutex::default(), told: Condvar::new(), wake })))
    }

    /// Whether there is any client. One that connects now gets the next report.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.lock().is_there
    }

    /// Queues a report, and the lines `beside` it.
    pub fn report(&self, beside: &Beside, report: Option<&Report>) {
        let mut inbox = self.lock();
        if !inbox.is_there {
            return;
        }
        if inbox.reports.len() < MAX_REPORTS {
            inbox.reports.push_back(Told { beside: beside.clone(), report: report.cloned() });
        } else {
            inbox.missed += 1;
        }
        drop(inbox);
        self.wake();
    }

    /// Queues a look for clients that want samples.
    pub fn look(&self, look: Look) {
        self.lock().look = Some(look);
        self.wake();
    }

    /// Waits until all clients that read were sent everything, at most for `time`.
    pub fn finish(&self, time: Duration) {
        let untold = |inbox: &mut Inbox| inbox.is_busy || !inbox.reports.is_empty();
        // Clients that miss it can read the log.
        drop(self.0.told.wait_timeout_while(self.lock(), time, untold));
    }

    /// For the thread: takes what to send.
    pub(crate) fn take(&self) -> Inbox {
        let _ = self.0.wake.read();
        let mut inbox = self.lock();
        inbox.is_busy = true;
        let is_there = inbox.is_there;
        std::mem::replace(&mut *inbox, Inbox { is_busy: true, is_there, ..Inbox::default() })
    }

    /// For the thread: a client is about to be greeted, and gets every report from then on.
    pub(super) fn expect(&self) {
        self.lock().is_there = true;
    }

    /// For the thread: what it took was sent; sets whether clients remain.
    pub(super) fn told(&self, is_there: bool) {
        let mut inbox = self.lock();
        (inbox.is_there, inbox.is_busy) = (is_there, false);
        drop(inbox);
        self.0.told.notify_all();
    }

    /// For the thread: readable when there is something to send.
    pub(super) fn descriptor(&self) -> &EventFd {
        &self.0.wake
    }

    fn wake(&self) {
        // Fails only if it is readable already.
        let _ = self.0.wake.write(1);
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.0.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audience").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn reports_are_kept_for_those_who_are_greeted_and_no_more_than_there_is_room_for() {
        let audience = Audience::new().unwrap();
        audience.report(&Beside::default(), Some(&samples::report()));
        assert!(audience.take().reports.is_empty(), "nobody is there");
        audience.told(false);
        audience.expect();
        (0..MAX_REPORTS + 3).for_each(|_| audience.report(&Beside::default(), Some(&samples::report())));
        let Inbox { reports, missed, .. } = audience.take();
        assert_eq!((reports.len(), missed), (MAX_REPORTS, 3));
    }

    #[test]
    fn the_end_waits_for_what_is_not_told_yet_and_for_nothing_else() {
        let audience = Audience::new().unwrap();
        audience.finish(Duration::MAX);
        audience.expect();
        audience.report(&Beside::default(), Some(&samples::report()));
        let telling = audience.clone();
        let told = std::thread::spawn(move || {
            let inbox = telling.take();
            telling.told(true);
            inbox.reports.len()
        });
        audience.finish(Duration::from_hours(1));
        assert_eq!(told.join().unwrap(), 1);
    }
}
