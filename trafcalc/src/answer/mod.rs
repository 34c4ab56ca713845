//! `trafcalc report`: answers from the book who moved how much, and when. It needs no privilege except to read the
//! book's files, never writes, and works while the service writes the book.
//!
//! [`ask`] reads and computes, with the present time as an argument. `table`, `json`, `csv` and `svg` show the same
//! [`Answer`].

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

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// What rows are told apart by; at least one.
    pub by: Vec<Dimension>,
    /// The period.
    pub asked: Asked,
    /// The parts into which the period is cut.
    pub each: Option<Each>,
    /// Which accounts are asked for.
    pub only: Only,
    /// How many are listed one by one; all if `None`.
    pub top: Option<usize>,
    /// The day on which months begin, 1 to 28; that of the book if `None`.
    pub billing_day: Option<i8>,
    /// The zone of days and hours; that of the book if `None`.
    pub zone: Option<TimeZone>,
    /// The percentile of the five-minute rates to show.
    pub percentile: Option<u8>,
    /// Whether to estimate what the period will have at its end.
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
    /// The period, in seconds since 1970.
    pub period: Range<i64>,
    /// The part of it that the book covers, gaps included. May be empty.
    pub counted: Range<i64>,
    /// The zone of days and hours.
    pub zone: TimeZone,
    /// The day on which months begin.
    pub billing_day: i8,
    /// What rows are told apart by.
    pub by: Vec<Dimension>,
    /// Which accounts are asked for.
    pub only: Only,
    /// The parts into which the period is cut.
    pub each: Option<Each>,
    /// The percentile that is shown.
    pub percentile: Option<u8>,
    /// Sentences that the reader of the answer must know.
    pub notes: Vec<String>,
    /// Whether some notes say that bytes may be missing, or under another time or account.
    pub is_doubtful: bool,
    /// Ordered by part and by volume.
    pub rows: Vec<Row>,
    /// The sums of all rows.
    pub total: Figures,
    /// The gaps.
    pub gaps: Gaps,
    /// The parts of the period, up to now, before the book's beginning or after its last report.
    pub outside: Vec<Gap>,
    /// The corrections that are in the figures.
    pub corrections: Vec<Correction>,
    /// The closed months that overlap the period.
    pub closed: Vec<Closed>,
}

/// Which book is asked, and how the answer is shown.
#[derive(Clone, Debug)]
pub struct Request {
    /// The book; the configured one if `None`.
    pub book: Option<PathBuf>,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// What is asked.
    pub question: Question,
    /// Whether to leave out the classes that the configuration excludes from billing.
    pub is_billed: bool,
    /// The output format.
    pub format: Format,
    /// Whether a table shows exact figures.
    pub is_exact: bool,
    /// Where to write a drawing, if one is asked for.
    pub drawing: Option<PathBuf>,
}

/// An answer as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// For standard output.
    pub text: String,
    /// The SVG, if it is asked for.
    pub drawing: Option<String>,
}

/// Answers a request. `directory` knows the users of this host; it is only asked about users whom the book does not
/// have.
pub fn answer(request: &Request, directory: &dyn Fn(&str) -> Found, now: Timestamp) -> Result<Shown, AnswerError> {
    let mut question = request.question.clone();
    // First, because it needs the configuration even if the book is given.
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

/// The classes to leave out.
fn unbilled(request: &Request) -> Result<Vec<String>, AnswerError> {
    if !request.is_billed {
        return Ok(Vec::new());
    }
    let unbilled = config::resolve(&Overrides { config: request.config.clone(), ..Overrides::default() })?.unbilled;
    if unbilled.is_empty() { Err(AnswerError::AllBilled) } else { Ok(unbilled) }
}

/// The book's path. If only that is given, the configuration is not read, as this user may lack permission.
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

/// The zone asked for, or else that of the last epoch; never the reader's own, which may be another.
fn zone_of(asked: Option<&TimeZone>, contents: &Contents) -> Result<TimeZone, AnswerError> {
    let last = contents.lives.last().and_then(|life| life.zone.as_deref());
    let zone = asked.cloned().unwrap_or_else(|| cover::zone_of(last));
    if zone.is_unknown() { Err(AnswerError::NoZone(last.map(str::to_owned))) } else { Ok(zone) }
}

#[cfg(test)]
mod tests;
