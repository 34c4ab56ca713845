//! What accounts moved today and this month: read from the book once, plus the cuts since. The book is read only when a client looks,
//! by a thread of its own.
//!
//! The sample timer runs as often as the fastest client asks, and not at all without a client. A sample collects like a report, and
//! leaves what it collected in the ledger for the next report.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::{Duration, SystemTime};

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Now;
use crate::book::{self, AccountKey, AccountKind, BookError, OfDays, Reader, billing_month, date_of};
use crate::capture::{Bytes, Owner, Unit, User};
use crate::report::Names;
use crate::status::Booked;

/// The limit of rows, as many as there may be accounts; further programs and units are summed up by user.
const MAX_ROWS: usize = 65_536;
/// The limit of cuts that are kept while the book is read; if there are more, it is read again.
const MAX_CUTS: usize = 64;
/// Pause after the book could not be read.
const READ_AGAIN: Duration = Duration::from_mins(1);

/// The account of a row, without the process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    user: User,
    program: Option<Arc<str>>,
    unit: Option<Arc<str>>,
    class: Option<Arc<str>>,
}

/// One cut of the ledger.
struct Cut {
    seq: u64,
    date: Date,
    moved: Vec<(Key, Bytes)>,
}

/// Today and this month.
pub(super) struct Days {
    path: PathBuf,
    zone: TimeZone,
    billing_day: i8,
    state: State,
}

enum State {
    /// Not read, and not to be read before this time.
    Unread(Option<std::time::Instant>),
    Reading {
        date: Date,
        book: mpsc::Receiver<Result<book::Days, BookError>>,
        cuts: Vec<Cut>,
    },
    Known(Rows),
}

struct Rows {
    date: Date,
    /// The day of the month on which billing months begin.
    billing_day: i8,
    rows: HashMap<Key, OfDays>,
}

impl Days {
    pub(super) fn new(book: &crate::config::Book) -> Self {
        let &crate::config::Book { ref path, ref zone, billing_day } = book;
        Self { path: path.clone(), zone: zone.clone(), billing_day, state: State::Unread(None) }
    }

    /// Adds what is booked with report `seq`, which covers the time from `start` to `end`.
    pub(super) fn cut(&mut self, seq: u64, (start, end): (SystemTime, SystemTime), moved: &[(Owner, Bytes)]) {
        // The book also assigns a period to the day of its middle.
        let middle = end.duration_since(start).ok().and_then(|length| end.checked_sub(length / 2)).unwrap_or(end);
        let date = date(middle, &self.zone);
        let cut = || Cut { seq, date, moved: moved.iter().map(|(owner, bytes)| (key(owner), *bytes)).collect() };
        match &mut self.state {
            State::Unread(_) => {}
            State::Reading { cuts, .. } if cuts.len() < MAX_CUTS => cuts.push(cut()),
            State::Reading { .. } => self.state = State::Unread(None),
            State::Known(rows) => rows.add(cut()),
        }
    }

    /// The date, and what accounts moved on that day and in its month, `uncut` included; `None` while the book is read. `is_booked`
    /// says whether everything that was cut is in the book.
    pub(super) fn look<'a>(
        &mut self,
        epoch: u64,
        now: Now,
        is_booked: bool,
        uncut: impl Iterator<Item = (&'a Owner, Bytes)>,
        names: &mut impl Names,
    ) -> Option<(String, Vec<Booked>)> {
        self.hear(epoch, now);
        let today = date(now.wall, &self.zone);
        if let State::Unread(after) = &self.state
            && is_booked
            && after.is_none_or(|after| now.monotonic >= after)
        {
            self.state = read(self.path.clone(), billing_month(today, self.billing_day).start, today)?;
        }
        let State::Known(rows) = &mut self.state else { return None };
        rows.turn_to(today);
        let mut told = rows.rows.clone();
        for (owner, bytes) in uncut {
            add(&mut told, key(owner), bytes, bytes);
        }
        // If the clock was set back, the date is that of the latest day.
        Some((rows.date.to_string(), told.into_iter().map(|(key, bytes)| booked(key, bytes, names)).collect()))
    }

    /// Takes the result of the reading thread.
    fn hear(&mut self, epoch: u64, now: Now) {
        let billing_day = self.billing_day;
        let State::Reading { date, book, cuts } = &mut self.state else { return };
        self.state = match book.try_recv() {
            Err(TryRecvError::Empty) => return,
            Ok(Ok(book)) => {
                let booked = book.last.filter(|last| last.0 == epoch).map_or(0, |last| last.1);
                let mut rows = Rows { date: *date, billing_day, rows: HashMap::new() };
                for (account, bytes) in book.accounts {
                    let user = match (account.kind, account.uid) {
                        (AccountKind::User, Some(uid)) => User::Uid(uid),
                        (AccountKind::Unattributed, _) => User::Unattributed,
                        _ => User::Other,
                    };
                    let AccountKey { program, unit, class, .. } = account;
                    add(&mut rows.rows, Key { user, program, unit, class }, bytes.day, bytes.all);
                }
                cuts.drain(..).filter(|cut| cut.seq > booked).for_each(|cut| rows.add(cut));
                State::Known(rows)
            }
            Ok(Err(error)) => {
                tracing::warn!("{error}; clients do not get the bytes of today and this month");
                State::Unread(Some(now.monotonic + READ_AGAIN))
            }
            // The thread has panicked, which logs itself.
            Err(TryRecvError::Disconnected) => State::Unread(Some(now.monotonic + READ_AGAIN)),
        };
    }
}

impl Rows {
    fn add(&mut self, cut: Cut) {
        self.turn_to(cut.date.max(self.date));
        let Cut { date, moved, .. } = cut;
        let is_of_month = billing_month(self.date, self.billing_day).contains(&date);
        for (key, bytes) in moved {
            let of_day = if date == self.date { bytes } else { Bytes::default() };
            let of_month = if is_of_month { bytes } else { Bytes::default() };
            add(&mut self.rows, key, of_day, of_month);
        }
    }

    /// Begins another day. A clock that was set back begins none.
    fn turn_to(&mut self, today: Date) {
        if today <= self.date {
            return;
        }
        if !billing_month(self.date, self.billing_day).contains(&today) {
            self.rows.clear();
        }
        self.rows.values_mut().for_each(|row| row.day = Bytes::default());
        self.date = today;
    }
}

fn add(rows: &mut HashMap<Key, OfDays>, key: Key, day: Bytes, all: Bytes) {
    let is_full = rows.len() >= MAX_ROWS && !rows.contains_key(&key);
    let row = rows.entry(if is_full { Key { program: None, unit: None, ..key } } else { key }).or_default();
    row.day += day;
    row.all += all;
}

fn key(owner: &Owner) -> Key {
    let unit = match &owner.unit {
        Some(Unit::Named(name)) => Some(Arc::clone(name)),
        Some(Unit::Cgroup(_)) | None => None,
    };
    Key { user: owner.user, program: owner.program.clone(), unit, class: owner.class.clone() }
}

fn date(at: SystemTime, zone: &TimeZone) -> Date {
    let second = jiff::Timestamp::try_from(at).map_or(0, jiff::Timestamp::as_second);
    date_of(second, zone)
}

fn booked(Key { user, program, unit, class }: Key, bytes: OfDays, names: &mut impl Names) -> Booked {
    let (uid, account) = match user {
        User::Uid(uid) => (Some(uid), None),
        User::Unattributed => (None, Some("(unattributed)".into())),
        User::Other => (None, Some("(other)".into())),
    };
    Booked {
        uid,
        user: uid.map(|uid| names.user(uid).or_number(uid)),
        account,
        program: program.as_deref().map(str::to_owned),
        unit: unit.as_deref().map(str::to_owned),
        class: class.as_deref().map(str::to_owned),
        sent_bytes_today: bytes.day.sent,
        received_bytes_today: bytes.day.received,
        sent_bytes_month: bytes.all.sent,
        received_bytes_month: bytes.all.received,
    }
}

/// Reads the book in a thread. `None` if no thread can be started.
fn read(path: PathBuf, first: Date, today: Date) -> Option<State> {
    let (tell, book) = mpsc::channel();
    let work = move || {
        // If the receiver is gone, the result is not needed.
        let _ = tell.send(Reader::open(&path).and_then(|reader| reader.days(first, today)));
    };
    thread::Builder::new().name("book-days".to_owned()).spawn(work).ok()?;
    Some(State::Reading { date: today, book, cuts: Vec::new() })
}

#[cfg(test)]
mod tests;
