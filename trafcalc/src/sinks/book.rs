//! The book as a sink: each report is one transaction, and is passed to the log only after that.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

use super::log::{Former, Piece, Told};
use super::outlet::{Item, Outlet, Sink};
use super::{Format, Json, SinkError};
use crate::book::{
    AccountKey, Book, BookError, Check, Commit, Gap, Last, Mark, Moved, Opened, Quotas, Reached, SetAside, Telling,
    Trouble,
};
use crate::report::{Beside, GapRecord, QuotaRecord, Report, Stamp};

/// The name of the log among the sinks of the book.
pub const LOG: &str = "log";

/// Most reports of the outbox that are read for the log at once.
const MAX_FORMER: usize = 64;

/// A longer `-wal` file of the book is reported: some reader keeps it from shrinking. Otherwise it is truncated to 16
/// MB.
const LONG_WAL_BYTES: u64 = 64 << 20;

/// How often old rows are removed.
const TRIM: Duration = Duration::from_hours(1);

/// A report to be booked.
#[derive(Clone, Debug)]
pub struct Booking {
    /// What is booked, without the records.
    pub commit: Commit,
    /// The stamp of its records.
    pub stamp: Stamp,
    /// The report for the log; `None` if only the book is cut.
    pub report: Option<Report>,
}

/// Bookings whose middles lie in the same such span may be merged: no hour or day of any zone ends within it.
const QUARTER: Duration = Duration::from_mins(15);

impl Booking {
    /// The quarter of an hour that contains its middle.
    fn quarter(&self) -> u64 {
        let middle = self.commit.end.checked_sub(self.commit.monotonic / 2).unwrap_or(self.commit.end);
        middle.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs() / QUARTER.as_secs())
    }

    /// Appends all records that the log gets of it.
    pub fn encode(&self, format: &dyn Format, out: &mut Vec<u8>) {
        // `gap_records` writes UTF-8 only.
        format.encode_json(&String::from_utf8(self.gap_records(None)).unwrap_or_default(), out);
        if let Some(report) = &self.report {
            format.encode(report, out);
        }
    }

    /// Its gaps and `more`, as JSON.
    fn gap_records(&self, more: Option<&Gap>) -> Vec<u8> {
        let mut records = Vec::new();
        for Gap { from, to, cause } in self.commit.gaps.iter().chain(more) {
            let stamp = self.stamp.clone();
            Json::encode_gap(&GapRecord { stamp, from: *from, to: *to, cause: cause.clone() }, &mut records);
        }
        records
    }
}

impl Item for Booking {
    fn merge(&mut self, next: Self, coarse_bytes: &mut u64) -> Option<Self> {
        if self.quarter() != next.quarter() {
            return Some(next);
        }
        let (into, next_commit) = (&mut self.commit, next.commit);
        self.stamp = next.stamp;
        into.seq = next_commit.seq;
        into.end = next_commit.end;
        into.monotonic += next_commit.monotonic;
        let coarse = add(&mut into.moved, next_commit.moved, MAX_MOVED);
        match (&mut into.baseline, next_commit.baseline) {
            (Some(rows), Some(next)) if rows.map == next.map => rows.add(next),
            (rows, next) => *rows = next,
        }
        into.health = next_commit.health;
        into.gaps.extend(next_commit.gaps);
        into.open = next_commit.open;
        into.ended |= next_commit.ended;
        let mut told = 0;
        self.report = match (self.report.take(), next.report) {
            (Some(mut report), Some(next)) => {
                told = report.merge(next);
                Some(report)
            }
            (former, next) => next.or(former),
        };
        *coarse_bytes += told.max(coarse);
        if let Some(report) = &mut self.report {
            report.renumber(self.commit.seq);
        }
        None
    }
}

/// Most accounts of a merged booking: the number of accounts at one time. Without a limit, programs would add up for
/// ever.
const MAX_MOVED: usize = 65_536;

/// Sums what accounts moved. If there are too many accounts, the oldest are reduced to their users. Returns the number
/// of bytes that lost detail.
fn add(into: &mut Vec<Moved>, next: Vec<Moved>, most: usize) -> u64 {
    merge_moved(into, next);
    if into.len() <= most {
        return 0;
    }
    let (newest, mut coarse_bytes) = (into.split_off(into.len() - most / 2), 0);
    let mut oldest = std::mem::take(into);
    for Moved { account, bytes } in &mut oldest {
        if account.program.is_some() || account.unit.is_some() {
            coarse_bytes += bytes.sent + bytes.received;
            (account.program, account.unit) = (None, None);
        }
    }
    merge_moved(into, oldest);
    merge_moved(into, newest);
    coarse_bytes
}

fn merge_moved(into: &mut Vec<Moved>, next: Vec<Moved>) {
    let mut places: HashMap<AccountKey, usize> =
        into.iter().enumerate().map(|(place, moved)| (moved.account.clone(), place)).collect();
    for moved in next {
        match places.entry(moved.account.clone()) {
            Entry::Occupied(place) => into[*place.get()].bytes += moved.bytes,
            Entry::Vacant(place) => {
                place.insert(into.len());
                into.push(moved);
            }
        }
    }
}

/// Opens the book as at the start. It is called again after a failure, or when the book was set aside. A book created
/// then begins at the given time.
pub type Open = Box<dyn Fn(SystemTime) -> Result<(Book, Opened), BookError> + Send>;

/// Called after a booking: with the lines beside the report, and with the report unless only the book was cut.
pub type Follower = Box<dyn Fn(&Beside, Option<&Report>) + Send>;

/// How the service counts.
#[derive(Clone, Copy, Debug)]
pub struct Counting {
    /// The backend.
    pub backend: &'static str,
    /// Its attach mode.
    pub attach: Option<&'static str>,
    /// Its method.
    pub method: Option<&'static str>,
    /// Whether it continues where a former process ended, so that nothing is missing in between.
    pub goes_on: bool,
}

/// The book, and the log that follows it.
pub struct BookSink {
    book: Option<Book>,
    open: Open,
    counting: Counting,
    log_begins: Option<String>,
    log: Arc<Outlet<Piece>>,
    told: mpsc::Receiver<Told>,
    /// The epoch in the stamps of reports. A book that was opened late has begun another epoch.
    life: Option<u64>,
    /// The last report that the log was given and has not written yet.
    given: Option<(u64, u64)>,
    /// How far the log has written, until this is noted in the book.
    unnoted: Option<Mark>,
    /// The gap before a book that was opened late, until it is booked.
    gap: Option<Gap>,
    /// What was found in the place of the book in this epoch and was not a sound book.
    set_aside: Option<SetAside>,
    /// A sentence that says that a reader keeps the `-wal` file from shrinking, if the file is long.
    held: Option<String>,
    /// Receives what is wrong with a large book that is being checked.
    damage: mpsc::Receiver<String>,
    trimmed: Option<SystemTime>,
    /// The limits of accounts.
    quotas: Option<Quotas>,
    follower: Option<Follower>,
}

impl BookSink {
    /// Books in `book`, or in the book that `open` returns as soon as it succeeds, then passes reports to `log`. `told`
    /// receives what the log has written. Reports that a former epoch had not written come first. `log_begins` says how
    /// far the log was written before.
    #[must_use]
    pub fn new(
        book: Option<Book>,
        open: Open,
        counting: Counting,
        log_begins: Option<String>,
        log: Arc<Outlet<Piece>>,
        told: mpsc::Receiver<Told>,
    ) -> Self {
        let mut sink = Self {
            book: None,
            open,
            counting,
            log_begins,
            log,
            told,
            life: None,
            given: None,
            unnoted: None,
            gap: None,
            set_aside: None,
            held: None,
            damage: mpsc::channel().1,
            trimmed: None,
            quotas: None,
            follower: None,
        };
        if let Some(book) = book
            && let Err(error) = sink.begin(book)
        {
            tracing::error!("{error}; counting goes on, and each report tries again");
        }
        sink
    }

    /// Writes a record to the log when a step of `quotas` is reached.
    #[must_use]
    pub fn watching(self, quotas: Option<Quotas>) -> Self {
        Self { quotas, ..self }
    }

    /// Calls `follower` with each report that is booked.
    #[must_use]
    pub fn followed_by(self, follower: Option<Follower>) -> Self {
        Self { follower, ..self }
    }

    fn begin(&mut self, mut book: Book) -> Result<(), BookError> {
        let Counting { backend, attach, method, .. } = self.counting;
        book.counts_with(backend, attach, method)?;
        if let (None, Some(note)) = (book.mark(LOG)?, &self.log_begins) {
            // Before anything of this book is in the log, so that the next start knows where in the log to look.
            book.told(LOG, &Mark { epoch: book.epoch() - 1, seq: u64::MAX, note: note.clone() })?;
        }
        self.set_aside = book.set_aside().cloned().or_else(|| self.set_aside.take());
        // The result of checking a former book does not matter any more.
        self.damage = match book.unchecked() {
            Ok(None) => mpsc::channel().1,
            Ok(Some(check)) => read_through(check),
            Err(error) => {
                tracing::warn!("{error}; the book is not read through");
                mpsc::channel().1
            }
        };
        self.quotas.iter_mut().for_each(Quotas::forget);
        self.give_former(&book)?;
        self.book = Some(book);
        Ok(())
    }

    /// Notes whether a reader keeps the book's `-wal` file from shrinking.
    fn look_at_wal(&mut self) {
        let bytes = self.book.as_ref().map_or(0, Book::wal_bytes);
        let held = (bytes > LONG_WAL_BYTES).then(|| {
            format!("its -wal file has {bytes} bytes: a reader with a long transaction keeps it from shrinking")
        });
        if let (None, Some(sentence)) = (&self.held, &held) {
            tracing::warn!("the book: {sentence}");
        }
        self.held = held;
    }

    /// Sets the book aside if the check found it damaged.
    fn heed_damage(&mut self, now: SystemTime) -> Result<(), BookError> {
        match self.damage.try_recv() {
            Ok(why) => self.put_aside(now, why),
            Err(_) => Ok(()),
        }
    }

    fn put_aside(&mut self, now: SystemTime, why: String) -> Result<(), BookError> {
        if let Some(book) = self.book.take() {
            let aside = book.put_aside(now, why)?;
            tracing::error!("{aside}");
            self.set_aside = Some(aside);
        }
        Ok(())
    }

    /// Gives the log its oldest unwritten reports, if it has written all that it was given.
    fn give_former(&mut self, book: &Book) -> Result<(), BookError> {
        if self.given.is_some() {
            self.log.retry();
            return Ok(());
        }
        let former: Vec<_> = book
            .outbox(LOG, MAX_FORMER)?
            .into_iter()
            .map(|report| Former { epoch: report.epoch.unsigned_abs(), seq: report.seq, records: report.records })
            .collect();
        if let Some(last) = former.last() {
            self.given = Some((last.epoch, last.seq));
            let mark = book.mark(LOG)?.map(|mark| mark.note);
            self.log.tell(Piece::Resume { mark, former });
        }
        Ok(())
    }

    /// Receives what the log has written.
    fn hear_told(&mut self) {
        let (Some(book), Some(told)) = (&self.book, self.told.try_iter().last()) else { return };
        if self.given == Some((told.epoch, told.seq)) {
            self.given = None;
        }
        let epoch = if self.life == Some(told.epoch) { book.epoch() } else { told.epoch.cast_signed() };
        self.unnoted = Some(Mark { epoch, seq: told.seq, note: told.mark });
    }

    /// Notes what the log has written, if no report comes with which it could be noted.
    fn note_told(&mut self) -> Result<(), BookError> {
        self.hear_told();
        if let (Some(book), Some(mark)) = (&mut self.book, &self.unnoted) {
            book.told(LOG, mark)?;
            self.unnoted = None;
        }
        Ok(())
    }

    /// Passes new records to the log. Records that the log can write next are passed directly; others it gets from the
    /// book later.
    fn give(&mut self, fresh: Option<Former>) -> Result<(), BookError> {
        let Some(book) = self.book.take() else { return Ok(()) };
        let given = match fresh {
            Some(fresh) if self.given.is_none() && book.has_many(LOG).is_ok_and(|many| !many) => {
                (self.life, self.given) = (Some(fresh.epoch), Some((fresh.epoch, fresh.seq)));
                self.log.tell(Piece::Resume { mark: None, former: vec![fresh] });
                Ok(())
            }
            _ => self.give_former(&book),
        };
        self.book = Some(book);
        given
    }

    /// Opens the book, and notes the gap before it.
    fn open(&mut self, until: SystemTime) -> Result<(), BookError> {
        let (book, opened) = (self.open)(until)?;
        if let Some(aside) = &opened.set_aside {
            tracing::error!("{aside}");
        }
        self.begin(book)?;
        let gap = |last: Last| Gap { from: last.end, to: until, cause: last.cause().to_owned() };
        self.gap = opened.last.filter(|_| !self.counting.goes_on).map(gap);
        Ok(())
    }

    fn trim(&mut self, now: SystemTime) -> Result<(), BookError> {
        let is_due = self.trimmed.is_none_or(|last| now.duration_since(last).is_ok_and(|time| time > TRIM));
        if let (true, Some(book)) = (is_due, &mut self.book) {
            book.trim(now)?;
            self.trimmed = Some(now);
        }
        Ok(())
    }

    /// Books a report; returns its records for the log.
    fn book(&mut self, booking: &Booking) -> Result<Option<Former>, BookError> {
        self.heed_damage(booking.commit.end)?;
        if self.book.is_none() {
            self.open(booking.commit.start)?;
        }
        self.hear_told();
        let Some(book) = &mut self.book else { return Ok(None) };
        let (gap, told) = (self.gap.as_ref(), self.unnoted.as_ref().map(|mark| (LOG, mark)));
        let telling = Telling { records: None, gap, told };
        let mut beside = Beside { gaps: booking.gap_records(gap), quotas: Vec::new() };
        let tell = |reached: &[Reached]| {
            beside.quotas.clear();
            for reached in reached {
                Json::encode_quota(&quota_record(booking.stamp.clone(), reached), &mut beside.quotas);
            }
            records(booking, &beside)
        };
        let records = book.commit_watching(&booking.commit, &telling, self.quotas.as_mut(), tell)?;
        (self.gap, self.unnoted) = (None, None);
        if let Some(follower) = self.follower.as_ref().filter(|_| booking.report.is_some() || !beside.is_empty()) {
            follower(&beside, booking.report.as_ref());
        }
        let Stamp { epoch, seq, .. } = booking.stamp;
        Ok(records.map(|records| Former { epoch, seq, records }))
    }
}

/// Checks a book in a detached thread; the receiver gets what is wrong.
fn read_through(check: Check) -> mpsc::Receiver<String> {
    let (tell, damage) = mpsc::channel();
    let work = move || match check.read_through() {
        // If no one receives it, the service is ending.
        Ok(Some(why)) => drop(tell.send(why)),
        Ok(None) => tracing::debug!("the book is sound"),
        Err(error) => tracing::warn!("{error}"),
    };
    if let Err(error) = thread::Builder::new().name("book-check".to_owned()).spawn(work) {
        tracing::warn!("starting a thread failed: {error}; the book is not checked");
    }
    damage
}

/// The records for the log of a booking, as JSON.
fn records(booking: &Booking, beside: &Beside) -> Option<String> {
    let mut records = [&beside.gaps[..], &beside.quotas].concat();
    if let Some(report) = &booking.report {
        Json.encode(report, &mut records);
    }
    // `Json` writes UTF-8 only.
    (!records.is_empty()).then(|| String::from_utf8(records).unwrap_or_default())
}

fn quota_record(stamp: Stamp, reached: &Reached) -> QuotaRecord {
    let time = |second: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(second).unwrap_or_default());
    QuotaRecord {
        stamp,
        quota: reached.quota.clone(),
        percent: reached.step,
        used_bytes: reached.used,
        limit_bytes: reached.limit,
        direction: reached.direction.name(),
        period: reached.period.name(),
        from: time(reached.seconds.start),
        to: time(reached.seconds.end),
    }
}

impl Sink<Booking> for BookSink {
    fn name(&self) -> &'static str {
        "book"
    }

    fn take(&mut self, booking: &Booking) -> Result<(), SinkError> {
        let fresh = match self.book(booking) {
            Ok(fresh) => fresh,
            Err(error) => {
                if error.trouble() == Trouble::Corrupt {
                    self.put_aside(booking.commit.end, error.to_string())?;
                }
                return Err(error.into());
            }
        };
        self.look_at_wal();
        // The report is booked. What fails from here on is tried again with the next one.
        if let Err(error) = self.give(fresh).and_then(|()| self.trim(booking.commit.end)) {
            tracing::warn!("{error}");
        }
        Ok(())
    }

    fn refresh(&mut self) -> Result<(), SinkError> {
        self.note_told()?;
        Ok(self.give(None)?)
    }

    fn note(&self) -> Option<String> {
        let sentences: Vec<_> = self.set_aside.iter().map(ToString::to_string).chain(self.held.clone()).collect();
        (!sentences.is_empty()).then(|| sentences.join("; "))
    }
}

#[cfg(test)]
mod tests;
