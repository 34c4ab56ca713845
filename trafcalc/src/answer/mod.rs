//! `trafcalc report`: who moved how much, when, from the book. Needs no privilege but to read the book's files, and the
//! service may write it meanwhile; never writes.
//!
//! [`ask`] reads and reckons, with the present as an argument. `table`, `json` and `csv` show the same [`Answer`].

mod cover;
mod csv;
mod doubts;
mod error;
mod estimate;
mod figure;
mod gaps;
mod json;
mod names;
mod parts;
mod percentile;
mod period;
mod reading;
mod removed;
mod rows;
mod table;
mod times;
mod whose;
mod words;

use std::ops::Range;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::book::{Contents, Gap, Reader};
use crate::config::{self, Overrides};

pub use error::AnswerError;
pub use gaps::Gaps;
pub use parts::Each;
pub use percentile::Rates;
pub use period::{Asked, Day, Moment, Month};
pub use rows::{Figures, Label, Row};
pub use whose::{Dimension, Only, Whose};
pub use words::Format;

use doubts::Doubts;
use parts::Parts;
use reading::{Pieces, Reading};
use times::Times;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// What rows are told apart by, at least one.
    pub by: Vec<Dimension>,
    /// The time.
    pub asked: Asked,
    /// What it is cut into.
    pub each: Option<Each>,
    /// Whose bytes.
    pub only: Only,
    /// How many are told one by one; all where there is none.
    pub top: Option<usize>,
    /// The day on which months begin, 1 to 28.
    pub billing_day: i8,
    /// The zone of days and hours; that of the book where there is none.
    pub zone: Option<TimeZone>,
    /// Which percentile of the rates of five minutes is told.
    pub percentile: Option<u8>,
    /// Whether it is told what the period will have at its end.
    pub is_estimated: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The time, in seconds since 1970.
    pub period: Range<i64>,
    /// What part of it the book is of; gaps are in it. May be empty.
    pub counted: Range<i64>,
    /// The zone of days and hours.
    pub zone: TimeZone,
    /// What rows are told apart by.
    pub by: Vec<Dimension>,
    /// Whose bytes.
    pub only: Only,
    /// What the period is cut into.
    pub each: Option<Each>,
    /// Which percentile is told.
    pub percentile: Option<u8>,
    /// What must be known of the answer.
    pub notes: Vec<String>,
    /// Whether notes tell of what may be missing, or be told at another time or of another account.
    pub is_doubtful: bool,
    /// By part and by whose they are.
    pub rows: Vec<Row>,
    /// In all.
    pub total: Figures,
    /// The times that were not counted.
    pub gaps: Gaps,
    /// What of the period, up to now, is before the book's beginning or after its last report.
    pub outside: Vec<Gap>,
}

/// Which book is asked, and how the answer is shown.
#[derive(Clone, Debug)]
pub struct Request {
    /// The book; the configured one where there is none.
    pub book: Option<PathBuf>,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// What is asked.
    pub question: Question,
    /// How it is shown.
    pub format: Format,
    /// Whether a table has exact figures, too.
    pub is_exact: bool,
}

/// The answer, as it is shown.
pub fn answer(request: &Request, now: Timestamp) -> Result<String, AnswerError> {
    let answer = ask(&Reader::open(&book_of(request)?)?, &request.question, now)?;
    Ok(match request.format {
        Format::Table => table::table(&answer, request.is_exact),
        Format::Json => json::json(&answer),
        Format::Csv => csv::csv(&answer),
    })
}

/// The book. Who names it need not be allowed to read the configuration.
fn book_of(request: &Request) -> Result<PathBuf, AnswerError> {
    if let (Some(path), None) = (&request.book, &request.config) {
        return Ok(path.clone());
    }
    let overrides = Overrides { config: request.config.clone(), book: request.book.clone(), ..Overrides::default() };
    Ok(config::resolve(&overrides)?.book.ok_or(AnswerError::NoBookKept)?.path)
}

/// Asks the book.
pub fn ask(book: &Reader, question: &Question, now: Timestamp) -> Result<Answer, AnswerError> {
    let contents = book.contents()?;
    let zone = zone_of(question, &contents)?;
    let times = Times::of(question, &contents, &zone, now)?;
    let accounts = book.accounts()?;
    question.only.check(&accounts)?;
    let pieces = Pieces::of(question, &contents, &times)?;
    let parts = Parts::new(question.each, &zone, question.billing_day, times.period.clone());
    let mut figures = Reading { book, question, accounts: &accounts, pieces: &pieces, times: &times, parts }.read()?;
    let gaps = Gaps::within(book.gaps(&times.period)?, &times.period);
    if question.is_estimated {
        estimate::add(&mut figures, &times, &gaps)?;
    }
    let (rows, total) = (figures.rows, figures.total);
    let (by, each, percentile) = (question.by.clone(), question.each, question.percentile);
    let doubts = Doubts::of(book, &times.period)?.sentences(&zone);
    let is_doubtful = !doubts.is_empty();
    let (only, outside) = (question.only.clone(), times.outside(&contents, now));
    let Times { period, counted, mut notes, .. } = times;
    notes.extend(doubts);
    Ok(Answer { period, counted, zone, by, only, each, percentile, notes, is_doubtful, rows, total, gaps, outside })
}

/// What was asked for, or that of the last life. Never the reader's own, which may be another.
fn zone_of(question: &Question, contents: &Contents) -> Result<TimeZone, AnswerError> {
    let last = contents.lives.last().and_then(|life| life.zone.as_deref());
    let zone = question.zone.clone().unwrap_or_else(|| cover::zone_of(last));
    if zone.is_unknown() { Err(AnswerError::NoZone(last.map(str::to_owned))) } else { Ok(zone) }
}

#[cfg(test)]
mod tests;
