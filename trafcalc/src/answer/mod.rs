//! `trafcalc report`: who moved how much, when, from the book. Needs no privilege but to read the book's files, and the
//! service may write it meanwhile; never writes.
//!
//! [`ask`] reads and reckons, with the present as an argument. `table`, `json`, `csv` and `svg` show the same [`Answer`].

mod columns;
mod corrections;
mod cover;
mod csv;
mod doubts;
mod error;
mod estimate;
mod gaps;
mod json;
mod names;
mod parts;
mod percentile;
mod period;
mod quota;
mod reading;
mod removed;
mod rows;
mod svg;
mod table;
mod times;
mod users;
mod whose;
mod words;

use std::ops::Range;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::book::{AccountKey, Closed, Contents, Correction, Gap, Reader};
use crate::config::{self, Overrides};

pub(crate) use corrections::days;
pub(crate) use csv::{line as csv_line, name as csv_name};
pub use error::AnswerError;
pub use gaps::Gaps;
pub use parts::Each;
pub use percentile::Rates;
pub use period::{Asked, Day, Moment, Month, length};
pub use quota::{QuotaRequest, quotas};
pub use rows::{Figures, Label, Row};
pub use users::{Found, HostUser};
pub use whose::{Dimension, Only, Whose};
pub use words::Format;

use corrections::Corrections;
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
    /// The day on which months begin, 1 to 28; that of the book where there is none.
    pub billing_day: Option<i8>,
    /// The zone of days and hours; that of the book where there is none.
    pub zone: Option<TimeZone>,
    /// Which percentile of the rates of five minutes is told.
    pub percentile: Option<u8>,
    /// Whether it is told what the period will have at its end.
    pub is_estimated: bool,
}

impl Question {
    /// The day on which months begin.
    fn billing_day(&self, contents: &Contents) -> i8 {
        self.billing_day.unwrap_or(contents.billing_day)
    }
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
    /// The day on which months begin.
    pub billing_day: i8,
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
    /// The corrections that are in the figures.
    pub corrections: Vec<Correction>,
    /// The closed months that have a part of the period.
    pub closed: Vec<Closed>,
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
    /// Whether classes of networks are left out that the configuration says are not billed.
    pub is_billed: bool,
    /// How it is shown.
    pub format: Format,
    /// Whether a table has exact figures, too.
    pub is_exact: bool,
    /// Where a drawing goes, if there is to be one.
    pub drawing: Option<PathBuf>,
}

/// An answer, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// For standard output.
    pub text: String,
    /// As SVG, where that is asked for.
    pub drawing: Option<String>,
}

/// The answer, as it is shown. `directory` knows the users of this host; it is asked about those alone whom the book does not have.
pub fn answer(request: &Request, directory: &dyn Fn(&str) -> Found, now: Timestamp) -> Result<Shown, AnswerError> {
    let mut question = request.question.clone();
    // First, because it needs the configuration even where the book is named.
    question.only.left_out = unbilled(request)?;
    let book = Reader::open(&book_path(request.book.as_ref(), request.config.as_ref())?)?;
    if !question.only.users.is_empty() {
        question.only.host_users = users::of_host(&question.only.users, &book.accounts()?, directory)?;
    }
    let answer = ask(&book, &question, now)?;
    let text = match request.format {
        Format::Table => table::table(&answer, request.is_exact),
        Format::Json => json::json(&answer),
        Format::Csv => csv::csv(&answer),
    };
    let drawing = request.drawing.as_ref().map(|_| svg::svg(&answer));
    Ok(Shown { text, drawing })
}

/// The classes that are to be left out.
fn unbilled(request: &Request) -> Result<Vec<String>, AnswerError> {
    if !request.is_billed {
        return Ok(Vec::new());
    }
    let unbilled = config::resolve(&Overrides { config: request.config.clone(), ..Overrides::default() })?.unbilled;
    if unbilled.is_empty() { Err(AnswerError::AllBilled) } else { Ok(unbilled) }
}

/// Where the book is. Who names it need not be allowed to read the configuration.
pub(crate) fn book_path(book: Option<&PathBuf>, config: Option<&PathBuf>) -> Result<PathBuf, AnswerError> {
    if let (Some(path), None) = (book, config) {
        return Ok(path.clone());
    }
    let overrides = Overrides { config: config.cloned(), book: book.cloned(), ..Overrides::default() };
    let of_book = |error| if book.is_none() { AnswerError::ConfigOfBook(error) } else { AnswerError::Config(error) };
    Ok(config::resolve(&overrides).map_err(of_book)?.book.ok_or(AnswerError::NoBookKept)?.path)
}

/// Asks the book.
pub fn ask(book: &Reader, question: &Question, now: Timestamp) -> Result<Answer, AnswerError> {
    let contents = book.contents()?;
    let zone = zone_of(question.zone.as_ref(), &contents)?;
    let times = Times::of(question, &contents, &zone, now)?;
    let accounts = book.accounts()?;
    question.only.check(&accounts, &book.configured_classes()?)?;
    let pieces = Pieces::of(question, &contents, &times)?;
    let billing_day = question.billing_day(&contents);
    let parts = Parts::new(question.each, &zone, billing_day, times.period.clone());
    let is_wanted = |key: &AccountKey| question.only.wants(key);
    let corrections = Corrections::of(book, &times.period, &zone, question.each, is_wanted)?;
    let applied = &corrections.applied;
    let reading =
        Reading { book, question, accounts: &accounts, pieces: &pieces, times: &times, parts, corrections: applied };
    let mut figures = reading.read()?;
    let gaps = Gaps::within(book.gaps(&times.period)?, &times.period);
    if question.is_estimated {
        estimate::add(&mut figures, &times, &gaps)?;
    }
    let (rows, total) = (figures.rows, figures.total);
    let (by, each, percentile) = (question.by.clone(), question.each, question.percentile);
    let doubts = Doubts::of(book, &times.period)?.sentences(&zone);
    let is_doubtful = !doubts.is_empty();
    let (only, outside) = (question.only.clone(), times.outside(&contents, now));
    let imported = corrections::imported_sentence(&book.imported()?, &times.period, &zone);
    let Times { period, counted, mut notes, .. } = times;
    if !only.left_out.is_empty() {
        let left_out = only.left_out.join(", ");
        notes.push(format!("Without what is not billed: {left_out}. What was counted without a class is billed."));
    }
    notes.extend(question.only.without_traffic(&accounts));
    notes.extend(imported);
    notes.extend(doubts);
    notes.extend(corrections.notes(&zone));
    let Corrections { applied: corrections, closed, .. } = corrections;
    Ok(Answer {
        period,
        counted,
        zone,
        billing_day,
        by,
        only,
        each,
        percentile,
        notes,
        is_doubtful,
        rows,
        total,
        gaps,
        outside,
        corrections,
        closed,
    })
}

/// What was asked for, or that of the last life. Never the reader's own, which may be another.
fn zone_of(asked: Option<&TimeZone>, contents: &Contents) -> Result<TimeZone, AnswerError> {
    let last = contents.lives.last().and_then(|life| life.zone.as_deref());
    let zone = asked.cloned().unwrap_or_else(|| cover::zone_of(last));
    if zone.is_unknown() { Err(AnswerError::NoZone(last.map(str::to_owned))) } else { Ok(zone) }
}

#[cfg(test)]
mod tests;
