//! The book as a sink: each report is one transaction, and only then the log's turn.

use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use super::log::{Former, Piece, Told};
use super::outlet::{Item, Outlet, Sink};
use super::{Format as _, Json, SinkError};
use crate::book::{Book, BookError, Commit, Mark, Opened};
use crate::report::Report;

/// The name of the log among the sinks of the book.
pub const LOG: &str = "log";

/// Most reports that a former life left to write and that are read at once.
const MAX_FORMER: usize = 4_096;

/// How often rows that are kept for a time only are removed.
const TRIM: Duration = Duration::from_hours(1);

/// A report as it is booked.
#[derive(Clone, Debug)]
pub struct Booking {
    /// What is booked, but the records.
    pub commit: Commit,
    /// What the log is told; `None` where the book alone is cut.
    pub report: Option<Report>,
}

impl Item for Booking {
    fn merge(&mut self, next: Self) -> Option<Self> {
        let (into, next_commit) = (&mut self.commit, next.commit);
        into.seq = next_commit.seq;
        into.end = next_commit.end;
        into.monotonic += next_commit.monotonic;
        into.moved.extend(next_commit.moved);
        match (&mut into.baseline, next_commit.baseline) {
            (Some(rows), Some(next)) if rows.map == next.map => rows.rows.extend(next.rows),
            (rows, Some(next)) => *rows = Some(next),
            (_, None) => {}
        }
        into.health = next_commit.health;
        into.gaps.extend(next_commit.gaps);
        into.ended |= next_commit.ended;
        self.report = match (self.report.take(), next.report) {
            (Some(mut report), Some(next)) => {
                report.merge(next);
                Some(report)
            }
            (former, next) => next.or(former),
        };
        None
    }
}

/// Opens the book, as at the start; called again where that failed then.
pub type Open = Box<dyn Fn() -> Result<(Book, Opened), BookError> + Send>;

/// Who counts.
#[derive(Clone, Copy, Debug)]
pub struct Counting {
    /// The backend.
    pub backend: &'static str,
    /// How it is hooked in.
    pub attach: Option<&'static str>,
    /// How it comes to look at connections.
    pub method: Option<&'static str>,
}

/// The book, and the log that follows it.
pub struct BookSink {
    book: Option<Book>,
    open: Open,
    counting: Counting,
    log_begins: Option<String>,
    log: Arc<Outlet<Piece>>,
    told: mpsc::Receiver<Told>,
    trimmed: Option<SystemTime>,
}

impl BookSink {
    /// Books in `book`, or in what `open` gives as soon as it does, then tells `log`, and hears from `told` what that has written.
    /// What a former life had still to write comes first. `log_begins` is how far the log was written before.
    ///
    /// # Errors
    /// What the former life left cannot be read.
    pub fn new(
        book: Option<Book>,
        open: Open,
        counting: Counting,
        log_begins: Option<String>,
        log: Arc<Outlet<Piece>>,
        told: mpsc::Receiver<Told>,
    ) -> Result<Self, BookError> {
        let mut sink = Self { book: None, open, counting, log_begins, log, told, trimmed: None };
        if let Some(book) = book {
            sink.begin(book)?;
        }
        Ok(sink)
    }

    fn begin(&mut self, mut book: Book) -> Result<(), BookError> {
        let Counting { backend, attach, method } = self.counting;
        book.counts_with(backend, attach, method)?;
        let mut mark = book.mark(LOG)?.map(|mark| mark.note);
        if mark.is_none()
            && let Some(note) = self.log_begins.take()
        {
            // Before anything of this book is in it, so that the next start knows where to look for what is.
            book.told(LOG, &Mark { epoch: book.epoch() - 1, seq: u64::MAX, note: note.clone() })?;
            mark = Some(note);
        }
        let former = book.outbox(LOG, MAX_FORMER)?;
        if !former.is_empty() {
            let former = former.into_iter().map(|report| Former {
                epoch: report.epoch.unsigned_abs(),
                seq: report.seq,
                records: report.records,
            });
            self.log.tell(Piece::Resume { mark, former: former.collect() });
        }
        self.book = Some(book);
        Ok(())
    }

    /// Notes what the log has written.
    fn note_told(&mut self) -> Result<(), BookError> {
        let (Some(book), Some(told)) = (&mut self.book, self.told.try_iter().last()) else { return Ok(()) };
        let epoch = told.epoch.cast_signed();
        book.told(LOG, &Mark { epoch, seq: told.seq, note: told.mark })
    }

    fn trim(&mut self, now: SystemTime) -> Result<(), BookError> {
        let is_due = self.trimmed.is_none_or(|last| now.duration_since(last).is_ok_and(|time| time > TRIM));
        if let (true, Some(book)) = (is_due, &mut self.book) {
            book.trim(now)?;
            self.trimmed = Some(now);
        }
        Ok(())
    }
}

impl Sink<Booking> for BookSink {
    fn name(&self) -> &'static str {
        "book"
    }

    fn take(&mut self, booking: &Booking) -> Result<(), SinkError> {
        if self.book.is_none() {
            let (book, _) = (self.open)()?;
            self.begin(book)?;
        }
        self.note_told()?;
        let Some(book) = &mut self.book else { return Ok(()) };
        let records = booking.report.as_ref().map(|report| {
            let mut records = Vec::new();
            Json.encode(report, &mut records);
            String::from_utf8_lossy(&records).into_owned()
        });
        book.commit(&Commit { records, ..booking.commit.clone() })?;
        if let Some(report) = &booking.report {
            self.log.tell(Piece::Report(Box::new(report.clone())));
        }
        if let Err(error) = self.trim(booking.commit.end) {
            tracing::warn!("{error}; old rows stay for now");
        }
        Ok(())
    }

    fn refresh(&mut self) -> Result<(), SinkError> {
        Ok(self.note_told()?)
    }
}
