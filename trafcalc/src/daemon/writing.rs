//! Where what was counted is written: the book first, and the log behind it; each in a thread of its own.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::Context as _;

use super::Failure;
use crate::book::{Book, BookError, Commit, Opened};
use crate::report::{Errors, Report, Stamp};
use crate::sinks::{BookSink, Booking, Counting, Format, Log, Outlet, Piece, Told, Untaken, Watch};

/// How long the end of the service waits for its book, and then for its log. With what else there is to say it ends within five
/// seconds.
const LAST_WRITES: Duration = Duration::from_millis(1_500);
/// How long it waits for the book to note what the log has written. What is not noted is found out at the next start.
const LAST_NOTE: Duration = Duration::from_millis(300);

/// Opens a book; called again where that failed.
pub(super) type OpenBook = Box<dyn Fn() -> Result<(Book, Opened), BookError> + Send>;

/// The book, or how to open it as soon as that can be.
pub(super) struct Keeping {
    pub(super) book: Option<Book>,
    pub(super) open: OpenBook,
}

/// The book and the log.
pub struct Writing {
    log: Arc<Outlet<Piece>>,
    book: Option<Outlet<Booking>>,
    format: Arc<dyn Format>,
}

impl Writing {
    /// Writes to `log`, which calls `gone` when whoever reads it has gone, and before that to the book, if there is to be one.
    pub(super) fn start(
        log: Log,
        keeping: Option<Keeping>,
        counting: Counting,
        gone: impl Fn() + Send + 'static,
    ) -> Result<Self, Failure> {
        let (tell, told) = mpsc::channel::<Told>();
        let (format, log_begins) = (log.format(), log.mark());
        let log = if keeping.is_some() { log.telling(tell) } else { log };
        let log = Arc::new(Outlet::start(log, gone).context("starting the thread of the log")?);
        let book = match keeping {
            Some(Keeping { book, open }) => {
                let sink = BookSink::new(book, open, counting, log_begins, Arc::clone(&log), told);
                Some(Outlet::start(sink, || ()).context("starting the thread of the book")?)
            }
            None => None,
        };
        Ok(Self { log, book, format })
    }

    /// Has what `commit` says booked, and `report` written, which `stamp` is of. Never waits.
    pub(super) fn tell(&self, report: Option<Report>, stamp: Stamp, commit: impl FnOnce() -> Commit) {
        match (&self.book, report) {
            (Some(book), report) => {
                let commit = commit();
                book.tell(Booking { commit, stamp, report });
            }
            (None, Some(report)) => self.log.tell(Piece::Report(Box::new(report))),
            (None, None) => {}
        }
    }

    /// Whether there is a book.
    pub(super) const fn has_book(&self) -> bool {
        self.book.is_some()
    }

    /// Whether all that was told is written, waiting for it no longer than `time`.
    pub(super) fn is_idle(&self, time: Duration) -> bool {
        self.book.as_ref().map_or_else(|| self.log.is_idle(time), |book| book.is_idle(time))
    }

    /// Has the log opened anew.
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

    /// How the log and the book do, for whoever asks.
    pub(super) fn watch(&self) -> (Watch, Option<Watch>) {
        (self.log.watch(), self.book.as_ref().map(Outlet::watch))
    }

    /// Waits for the last writes, for a while.
    ///
    /// # Errors
    /// Records that did not get where they should, and why.
    pub(super) fn finish(&self) -> Result<(), (Vec<u8>, crate::sinks::SinkError)> {
        let mut records = Vec::new();
        let mut untold = None;
        if let Some(book) = &self.book
            && let Err(Untaken { items, reason }) = book.finish(LAST_WRITES)
        {
            items
                .iter()
                .filter_map(|booking| booking.report.as_ref())
                .for_each(|report| self.format.encode(report, &mut records));
            untold = Some(reason);
        }
        if let Some(book) = &self.book
            && self.log.finish(LAST_WRITES).is_ok()
        {
            // What the log has written makes room for what it was not given yet.
            book.refresh();
            let _ = book.finish(LAST_NOTE);
        }
        match self.log.finish(LAST_WRITES) {
            // The book has them; the next start writes them.
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

    /// Waits until all that was asked for was tried.
    #[cfg(test)]
    pub(crate) fn settle(&self) {
        if let Some(book) = &self.book {
            book.settle();
        }
        self.log.settle();
    }
}
