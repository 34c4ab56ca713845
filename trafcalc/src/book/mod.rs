//! The accounts on disk: the permanent record of what was counted. One thread writes it ([`Book`]); any process that
//! may read its files opens it as a [`Reader`].
//!
//! Each report is one transaction. It holds the report's bytes, the kernel counters they were taken from
//! (`Batch::baseline`), and the records that sinks still have to write (the outbox), so after a kill at any moment
//! either all of it is there or nothing. This module alone knows `SQLite`. It must never know where bytes come from,
//! ask for a name, or read a clock.
//!
//! The book is written before the log. What the log has written is noted in the next transaction, together with the
//! log's file and length, so after a restart the log itself shows which reports of the outbox it already has
//! (`LogFile::resume`). When a row of the book ends between two reports, only the book is cut (`Event::Border`). Such a
//! cut has its own sequence number, so numbers in the log may skip one. A gap is written with the first commit after
//! it, even if that is such a cut. The daemon confirms counters to the backend only when everything it handed out is
//! booked; the backend then gives up what former programs had counted.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use rusqlite::{Connection, Transaction};

mod accounts;
mod backup;
mod billing;
mod borders;
mod closing;
mod commit;
mod contents;
mod correction;
mod days;
mod doubts;
mod editor;
mod error;
mod export;
mod fine;
mod import;
mod late;
mod layout;
mod lifetime;
mod open_notes;
mod opened;
mod outbox;
mod persist_wal;
mod quota;
mod quotas;
mod reader;
mod recent;
mod schema;

pub use accounts::{AccountKey, AccountKind};
pub use backup::backup;
pub use billing::{BILLING_DAYS, billing_month, billing_month_named, month_name};
pub use borders::{FINE_S, date_of, day_row, hour_row, next_border};
pub use closing::Closed;
pub use commit::{Commit, Gap, Moved};
pub use contents::{Contents, Life};
pub use correction::{Change, Correction, NewCorrection};
pub use days::{Days, OfDays};
pub use doubts::{Delay, Late};
pub use editor::{Editor, Importing};
pub use error::{BookError, Trouble};
pub use export::BookedReport;
pub use import::{Import, Imported, LoggedReport};
pub use late::MovedOn;
pub use lifetime::LastReport;
pub use opened::{Last, Opened, Opening};
pub use outbox::{Mark, Outgoing};
pub use quota::{Direction, GroupMembers, Quota, QuotaPeriod, Reached};
pub use quotas::{Quotas, Used};
pub use reader::{Reader, Tier};
pub use schema::{Check, SetAside, require_free};

use accounts::Accounts;
use error::of_database;

/// How long five-minute rows, single reports, and records that a sink has not written are kept.
pub const FINE_KEPT: Duration = Duration::from_hours(35 * 24);
/// How long hourly rows are kept.
pub const HOURS_KEPT: Duration = Duration::from_hours(3 * 366 * 24);
/// The most that one call of [`Book::trim`] removes from each table, as a span of time. It bounds the length of a call,
/// and an hour with a wrong clock does not cost everything.
const TRIMMED_AT_ONCE_S: i64 = 24 * 3600;

/// An open book. One process at a time holds it.
pub struct Book {
    path: PathBuf,
    connection: Connection,
    is_checked: bool,
    zone: TimeZone,
    billing_day: i8,
    epoch: i64,
    accounts: Accounts,
    set_aside: Option<SetAside>,
    /// Declared after the connection, so that it is released after the connection is closed.
    _lock: crate::lock::Lock,
}

/// What is booked together with a report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telling<'a> {
    /// The records for the sinks.
    pub records: Option<&'a str>,
    /// A further gap.
    pub gap: Option<&'a Gap>,
    /// A sink and how far it has written.
    pub told: Option<(&'a str, &'a Mark)>,
}

/// What [`Book::trim`] removed, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Five-minute rows, each with all accounts.
    pub fine: usize,
    /// Hourly rows.
    pub hours: usize,
    /// Single reports; their bytes stay.
    pub reports: usize,
    /// Reports that were removed before a sink had written them.
    pub untold: usize,
}

impl Book {
    /// Opens or creates the book and begins a new epoch in it. A damaged book is set aside, never overwritten, and
    /// [`Opened`] says so. A book of a newer version or a database of another program is an error.
    pub fn open(opening: &Opening<'_>) -> Result<(Self, Opened), BookError> {
        Self::open_later(opening, opening.now)
    }

    /// The same while the service runs. A new book begins at `first`, the start of the first report booked in it.
    pub fn open_later(opening: &Opening<'_>, first: SystemTime) -> Result<(Self, Opened), BookError> {
        let mut files = schema::open(opening.path, opening.now)?;
        let mut begun = opened::begin(&mut files, opening, first);
        if let Err(error) = &begun
            && of_database(error) == Trouble::Corrupt
        {
            let why = error.to_string();
            files = files.begin_anew(opening.path, opening.now, why)?;
            begun = opened::begin(&mut files, opening, first);
        }
        let opened = begun.map_err(|source| database_error(opening.path, "beginning an epoch", source))?;
        let schema::Files { connection, lock, is_checked, .. } = files;
        let book = Self {
            path: opening.path.to_owned(),
            connection,
            is_checked,
            zone: opening.zone.clone(),
            billing_day: opening.billing_day,
            epoch: opened.epoch,
            accounts: Accounts::default(),
            set_aside: opened.set_aside.clone(),
            _lock: lock,
        };
        Ok((book, opened))
    }

    /// A check of the whole book, to be run in another thread, if the book was too large to be checked when it was
    /// opened.
    pub fn unchecked(&self) -> Result<Option<Check>, BookError> {
        if self.is_checked { Ok(None) } else { Check::open(&self.path).map(Some) }
    }

    /// The size of the `-wal` file in bytes. It grows while a reader holds a transaction open, and shrinks with the
    /// first report after that.
    #[must_use]
    pub fn wal_bytes(&self) -> u64 {
        std::fs::metadata(schema::beside(&self.path, "-wal")).map_or(0, |metadata| metadata.len())
    }

    /// Closes the book and sets it aside, because of what [`Check`] found.
    pub fn put_aside(self, now: SystemTime, why: String) -> Result<SetAside, BookError> {
        // `_lock` is dropped last, after the connection.
        let Self { path, connection, _lock, .. } = self;
        drop(connection);
        Ok(SetAside { path: schema::put_aside(&path, now)?, why })
    }

    /// The number of this epoch.
    #[must_use]
    pub const fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Notes the backend of this epoch, its attach mode and its method.
    pub fn counts_with(&mut self, backend: &str, attach: Option<&str>, method: Option<&str>) -> Result<(), BookError> {
        let sql = "UPDATE epoch SET backend = ?2, attach = ?3, method = ?4 WHERE id = ?1";
        let noted = self.connection.execute(sql, rusqlite::params![self.epoch, backend, attach, method]).map(drop);
        noted.map_err(|source| database_error(&self.path, "noting who counts", source))
    }

    /// What was found in the place of this book and was not a sound book.
    #[must_use]
    pub const fn set_aside(&self) -> Option<&SetAside> {
        self.set_aside.as_ref()
    }

    /// Books a report, all of it or nothing. After an error a later commit with the bytes and rows of both can succeed.
    pub fn commit(&mut self, commit: &Commit) -> Result<(), BookError> {
        self.commit_telling(commit, &Telling { records: commit.records.as_deref(), ..Telling::default() })
    }

    /// The same with the additions of `telling` in the same transaction. Its records replace those of `commit`.
    pub fn commit_telling(&mut self, commit: &Commit, telling: &Telling<'_>) -> Result<(), BookError> {
        let records = telling.records;
        self.commit_watching(commit, telling, None, |_| records.map(str::to_owned)).map(drop)
    }

    /// The same, with the records that `tell` makes from the quota steps reached. Returns these records.
    pub fn commit_watching(
        &mut self,
        commit: &Commit,
        telling: &Telling<'_>,
        quotas: Option<&mut Quotas>,
        tell: impl FnOnce(&[Reached]) -> Option<String>,
    ) -> Result<Option<String>, BookError> {
        let (epoch, zone, accounts) = (self.epoch, &self.zone, &mut self.accounts);
        let billing_day = self.billing_day;
        let &Telling { gap, told, .. } = telling;
        let work = |book: &Transaction<'_>| {
            if let Some((sink, mark)) = told {
                outbox::told(book, sink, mark)?;
            }
            let (date, has_named) = commit::book(book, epoch, zone, accounts, commit)?;
            commit::gaps(book, epoch, commit.gaps.iter().chain(gap))?;
            let reach = |quotas: &mut Quotas| {
                if has_named {
                    quotas.forget();
                }
                quotas.reached(book, (zone, billing_day), date, (epoch, commit.seq))
            };
            let reached = quotas.map(reach).transpose()?;
            let records = tell(&reached.unwrap_or_default());
            records.iter().try_for_each(|records| outbox::put(book, epoch, commit.seq, records))?;
            Ok(records)
        };
        let done = transact(&mut self.connection, work);
        if done.is_err() {
            self.accounts.forget();
        }
        done.map_err(|source| database_error(&self.path, "booking a report", source))
    }

    /// The reports that `sink` has not written yet, in order, at most `limit`. Empty for a sink that [`Opening`] did
    /// not name.
    pub fn outbox(&self, sink: &str, limit: usize) -> Result<Vec<Outgoing>, BookError> {
        let asked = outbox::outbox(&self.connection, sink, limit);
        asked.map_err(|source| database_error(&self.path, "reading what a sink has to tell", source))
    }

    /// Whether more than one report waits for `sink`.
    pub fn has_many(&self, sink: &str) -> Result<bool, BookError> {
        let asked = outbox::has_many(&self.connection, sink);
        asked.map_err(|source| database_error(&self.path, "reading what a sink has to tell", source))
    }

    /// Notes that `sink` has written everything up to `mark`. Removes what every sink has written.
    pub fn told(&mut self, sink: &str, mark: &Mark) -> Result<(), BookError> {
        match transact(&mut self.connection, |book| outbox::told(book, sink, mark)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(BookError::UnknownSink { path: self.path.clone(), sink: sink.to_owned() }),
            Err(source) => Err(database_error(&self.path, "noting what a sink told", source)),
        }
    }

    /// How far `sink` has written; `None` if it has written nothing yet.
    pub fn mark(&self, sink: &str) -> Result<Option<Mark>, BookError> {
        let asked = outbox::mark(&self.connection, sink);
        asked.map_err(|source| database_error(&self.path, "reading what a sink told", source))
    }

    /// Removes rows older than their retention time, at most the oldest day of them. To be called at least every few
    /// hours.
    pub fn trim(&mut self, now: SystemTime) -> Result<Trimmed, BookError> {
        let trimmed = transact(&mut self.connection, |book| trim(book, now));
        trimmed.map_err(|source| database_error(&self.path, "removing old rows", source))
    }
}

/// Does all of `work` in one transaction, or nothing.
fn transact<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = schema::write(connection)?;
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

fn trim(book: &Connection, now: SystemTime) -> rusqlite::Result<Trimmed> {
    let before = |kept: Duration| borders::micros(now).div_euclid(1_000_000).saturating_sub_unsigned(kept.as_secs());
    let remove = |sql: &str, before_s: i64| book.prepare_cached(sql)?.execute([before_s, TRIMMED_AT_ONCE_S]);
    let (fine_s, hours_s) = (before(FINE_KEPT), before(HOURS_KEPT));
    Ok(Trimmed {
        fine: remove(
            "DELETE FROM past_fine WHERE start_s < min(?1, ?2 + (SELECT min(start_s) FROM past_fine))",
            fine_s,
        )?,
        hours: remove(
            "DELETE FROM past_hour WHERE start_s < min(?1, ?2 + (SELECT min(start_s) FROM past_hour))",
            hours_s,
        )?,
        // The last report stays: it says how far the book goes.
        reports: remove(
            "DELETE FROM report WHERE end_us < 1000000 * min(?1, ?2 + (SELECT min(end_us) / 1000000 FROM report)) \
             AND (epoch, seq) < (SELECT epoch, seq FROM report ORDER BY epoch DESC, seq DESC LIMIT 1)",
            fine_s,
        )?,
        untold: book
            .prepare_cached(
                "DELETE FROM outbox WHERE NOT EXISTS \
                 (SELECT 1 FROM report WHERE report.epoch = outbox.epoch AND report.seq = outbox.seq)",
            )?
            .execute([])?,
    })
}

fn database_error(path: &Path, doing: &'static str, source: rusqlite::Error) -> BookError {
    BookError::Database { path: path.to_owned(), doing, source }
}

#[cfg(test)]
mod tests;
