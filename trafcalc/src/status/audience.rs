//! What the service's loop and its book hand to the thread that serves clients. They never wait for it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::changes::Look;
use crate::report::{Beside, Report};

/// Most reports that wait for the thread, which waits for nobody: it is behind only while others have the processor.
const MAX_REPORTS: usize = 16;

/// Called with how often samples are wanted whenever that changes; nothing: never.
pub type SetEvery = Box<dyn Fn(Option<Duration>) + Send>;

/// The clients of the reports socket, as the service sees them.
#[derive(Clone)]
pub struct Audience(Arc<Shared>);

struct Shared {
    inbox: Mutex<Inbox>,
    /// The inbox was emptied, and what was in it was told.
    told: Condvar,
    /// Readable when there is something in the inbox.
    wake: EventFd,
}

/// A report, and what is told before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) beside: Beside,
    pub(crate) report: Option<Report>,
}

/// What is to be told.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) reports: VecDeque<Told>,
    /// Reports for which there was no room.
    pub(crate) missed: u64,
    /// The last look; one that came before and was not told yet is in its totals.
    pub(crate) look: Option<Look>,
    is_there: bool,
    is_busy: bool,
}

impl Audience {
    /// Nobody yet.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn new() -> io::Result<Self> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self(Arc::new(Shared { inbox: Mutex::default(), told: Condvar::new(), wake })))
    }

    /// Whether there is any client. One who comes now is told of the next report.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.lock().is_there
    }

    /// Has a report told, and what is `beside` it.
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

    /// Has a look told, to those who asked for samples.
    pub fn look(&self, look: Look) {
        self.lock().look = Some(look);
        self.wake();
    }

    /// Waits until all of it was told to those who read, but no longer than `time`.
    pub fn finish(&self, time: Duration) {
        let untold = |inbox: &mut Inbox| inbox.is_busy || !inbox.reports.is_empty();
        // Who is not told by then can read the log.
        drop(self.0.told.wait_timeout_while(self.lock(), time, untold));
    }

    /// The thread's: what there is to tell.
    pub(crate) fn take(&self) -> Inbox {
        let _ = self.0.wake.read();
        let mut inbox = self.lock();
        inbox.is_busy = true;
        let is_there = inbox.is_there;
        std::mem::replace(&mut *inbox, Inbox { is_busy: true, is_there, ..Inbox::default() })
    }

    /// The thread's: a client is about to be greeted, who is told of every report from then on.
    pub(super) fn expect(&self) {
        self.lock().is_there = true;
    }

    /// The thread's: what was taken is told, and there are clients or not.
    pub(super) fn told(&self, is_there: bool) {
        let mut inbox = self.lock();
        (inbox.is_there, inbox.is_busy) = (is_there, false);
        drop(inbox);
        self.0.told.notify_all();
    }

    /// The thread's: what becomes readable when there is something to tell.
    pub(super) fn descriptor(&self) -> &EventFd {
        &self.0.wake
    }

    fn wake(&self) {
        // It fails only when it is readable already.
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
