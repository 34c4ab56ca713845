//! Writes what was counted: the book first, and the log after it; each in a thread of its own.

use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use jiff::tz::TimeZone;

use super::Failure;
use crate::book::{Book, BookError, Commit, Opened, Quotas};
use crate::report::{Beside, Errors, Report, Stamp};
use crate::service::last_words;
use crate::sinks::{BookSink, Booking, Counting, Follower, Format, Log, Outlet, Piece, Table, Told, Untaken, Watch};

/// How long the end of the service waits for the book, and then for the log. With everything else it ends within five seconds.
const LAST_WRITES: Duration = Duration::from_millis(1_500);
/// How long it waits for the book to record what the log has written. The next start finds out what is not recorded.
const LAST_NOTE: Duration = Duration::from_millis(300);

/// Opens a book, which begins at the given time if it is new. Called again if that failed.
pub(super) type OpenBook = Box<dyn Fn(SystemTime) -> Result<(Book, Opened), BookError> + Send>;

/// The book, or how to open it later.
pub(super) struct Keeping {
    pub(super) book: Option<Book>,
    pub(super) open: OpenBook,
    pub(super) quotas: Option<Quotas>,
}

/// The book and the log.
pub struct Writing {
    log: Arc<Outlet<Piece>>,
    book: Option<Outlet<Booking>>,
    format: Arc<dyn Format>,
    /// Called with each report, if there is no book to be written first.
    follower: Option<Follower>,
}

impl Writing {
    /// Writes to `log`, and before that to the book, if there is one. Calls `gone` when the reader of the log has gone, and `follower`
    /// with each report once it is booked.
    pub(super) fn start(
        log: Log,
        keeping: Option<Keeping>,
        counting: Counting,
        gone: impl Fn() + Send + 'static,
        mut follower: Option<Follower>,
    ) -> Result<Self, Failure> {
        let (tell, told) = mpsc::channel::<Told>();
        let (format, log_begins) = (log.format(), log.mark());
        let log = if keeping.is_some() { log.telling(tell) } else { log };
        let log = Arc::new(Outlet::start(log, gone).context("starting the thread of the log")?);
        let book = match keeping {
            Some(Keeping { book, open, quotas }) => {
                let sink = BookSink::new(book, open, counting, log_begins, Arc::clone(&log), told).watching(quotas);
                let sink = sink.followed_by(follower.take());
                Some(Outlet::start(sink, || ()).context("starting the thread of the book")?)
            }
            None => None,
        };
        Ok(Self { log, book, format, follower })
    }

    /// Queues the commit for the book, and `report`, which `stamp` identifies, for the log. Never waits.
    pub(super) fn tell(&self, report: Option<Report>, stamp: Stamp, commit: impl FnOnce() -> Commit) {
        match (&self.book, report) {
            (Some(book), report) => {
                let commit = commit();
                book.tell(Booking { commit, stamp, report });
            }
            (None, Some(report)) => {
                if let Some(follower) = &self.follower {
                    follower(&Beside::default(), Some(&report));
                }
                self.log.tell(Piece::Report(Box::new(report)));
            }
            (None, None) => {}
        }
    }

    /// Whether there is a book.
    pub(super) const fn has_book(&self) -> bool {
        self.book.is_some()
    }

    /// Whether everything queued is written. Waits no longer than `time`.
    pub(super) fn is_idle(&self, time: Duration) -> bool {
        self.book.as_ref().map_or_else(|| self.log.is_idle(time), |book| book.is_idle(time))
    }

    /// Reopens the log.
    pub(super) fn reopen(&self) {
        self.log.refresh();
    }

    pub(super) fn errors(&self) -> Errors {
        Errors {
            log: self.log.errors(),
            book: self.book.as_ref().map_or(0, Outlet::errors),
            coarse_bytes: self.log.coarse_bytes() + self.book.as_ref().map_or(0, Outlet::coarse_bytes),
        }
    }

    /// The state of the log and the book, for the status.
    pub(super) fn watch(&self) -> (Watch, Option<Watch>) {
        (self.log.watch(), self.book.as_ref().map(Outlet::watch))
    }

    /// Waits a limited time for the last writes.
    ///
    /// # Errors
    /// Records that were not written, and why.
    pub(super) fn finish(&self) -> Result<(), (Vec<u8>, crate::sinks::SinkError)> {
        let mut records = Vec::new();
        let mut untold = None;
        if let Some(book) = &self.book
            && let Err(Untaken { items, reason }) = book.finish(LAST_WRITES)
        {
            for booking in &items {
                booking.encode(&*self.format, &mut records);
            }
            untold = Some(reason);
        }
        if let Some(book) = &self.book
            && self.log.finish(LAST_WRITES).is_ok()
        {
            // The log has room again for what the book has not passed on yet.
            book.refresh();
            let _ = book.finish(LAST_NOTE);
        }
        match self.log.finish(LAST_WRITES) {
            // The book has them, and the next start writes them.
            Err(Untaken { reason, .. }) if self.book.is_some() => {
                tracing::warn!("{reason}; what the log lacks is in the book, and is written at the next start");
            }
            Err(Untaken { items, reason }) => {
                for piece in &items {
                    if let Piece::Report(report) = piece {
                        self.format.encode(report, &mut records);
                    }
                }
                untold = untold.or(Some(reason));
            }
            Ok(()) => {}
        }
        if let Some(book) = &self.book {
            book.refresh();
            let _ = book.finish(LAST_NOTE);
        }
        untold.map_or(Ok(()), |reason| Err((records, reason)))
    }

    /// Waits until everything queued was tried.
    #[cfg(test)]
    pub(crate) fn settle(&self) {
        if let Some(book) = &self.book {
            book.settle();
        }
        self.log.settle();
    }
}

/// Shows all accounts of the last report on the terminal, after its table.
pub(super) fn show_totals(report: &Report) {
    last_words::show(Table(TimeZone::system()).totals(report).into_bytes());
}
