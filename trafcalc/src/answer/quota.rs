//! `trafcalc quota`: how much of each quota is used, and an estimate for the end of its period.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::error::AnswerError;
use super::gaps::Gaps;
use super::times::{at, iso, moment, name};
use super::{columns, estimate, zone_of};
use crate::book::{Contents, GroupMembers, Quota, Reader, Used, date_of, day_row};
use crate::config::{self, Overrides};
use crate::figure::{printable, scaled};
use crate::sinks::write_json;

/// Incremented when a field changes its meaning or is removed, not when fields are added.
const SCHEMA: u32 = 1;

/// Which book's quotas are asked for, and how they are shown.
#[derive(Clone, Debug, Default)]
pub struct QuotaRequest {
    /// The book; the configured one if `None`.
    pub book: Option<PathBuf>,
    /// The configuration file, which names the quotas.
    pub config: Option<PathBuf>,
    /// Whether JSON is asked for instead of a table.
    pub is_json: bool,
}

/// One quota in its period.
struct Use<'a> {
    quota: &'a Quota,
    /// The name of the period.
    period: String,
    from: i64,
    to: i64,
    used: u64,
    /// The estimate for its end; `None` if nothing of the period was counted.
    estimate: Option<u64>,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    at: String,
    zone: String,
    notes: &'a [String],
    quotas: Vec<Fields<'a>>,
}

#[derive(Serialize)]
struct Fields<'a> {
    quota: &'a str,
    period: &'static str,
    from: String,
    to: String,
    direction: &'static str,
    limit_bytes: u64,
    used_bytes: u64,
    percent: u64,
    estimated_bytes: Option<u64>,
    passed: bool,
}

/// All quotas in the output format, and whether one of them is passed. `members` knows the groups of users.
pub fn quotas(
    request: &QuotaRequest,
    members: &dyn GroupMembers,
    now: Timestamp,
) -> Result<(String, bool), AnswerError> {
    let overrides = Overrides { config: request.config.clone(), book: request.book.clone(), ..Overrides::default() };
    let settings = config::resolve(&overrides)?;
    let notes = config::unkept_quotas(&settings);
    let book = Reader::open(&settings.book.ok_or(AnswerError::NoBookKept)?.path)?;
    let contents = book.contents()?;
    let zone = zone_of(None, &contents)?;
    let uses = uses(&book, &settings.quotas, members, now, &contents, &zone)?;
    let is_passed = uses.iter().any(Use::is_passed);
    let shown = if request.is_json { json(&uses, &notes, now, &zone) } else { table(&uses, &notes, now, &zone) };
    Ok((shown, is_passed))
}

impl Use<'_> {
    fn is_passed(&self) -> bool {
        self.used >= self.quota.limit
    }
}

fn uses<'a>(
    book: &Reader,
    quotas: &'a [Quota],
    members: &dyn GroupMembers,
    now: Timestamp,
    contents: &Contents,
    zone: &TimeZone,
) -> Result<Vec<Use<'a>>, AnswerError> {
    let date = date_of(now.as_second(), zone);
    let used = book.quotas(quotas, members, date, contents.billing_day)?;
    let of = |(quota, used): (&'a Quota, Used)| {
        let dates = quota.period.dates(date, contents.billing_day);
        let period = day_row(dates.start, zone).start..day_row(dates.end, zone).start;
        let start = period.start.max(contents.begun_s);
        let counted = start..period.end.min(contents.until_s).max(start);
        let gaps = Gaps::within(book.gaps(&counted)?, &counted);
        // A correction is added once and is not extrapolated.
        let grown = |(counted_s, left_s)| estimate::grow(used.measured, counted_s, left_s);
        let estimate =
            estimate::time(&counted, &period, &gaps).map(|times| Used { measured: grown(times), ..used }.bytes());
        let name = quota.period.name_of(dates.start);
        Ok(Use { quota, period: name, from: period.start, to: period.end, used: used.bytes(), estimate })
    };
    quotas.iter().zip(used).map(of).collect()
}

fn table(uses: &[Use<'_>], notes: &[String], now: Timestamp, zone: &TimeZone) -> String {
    if uses.is_empty() {
        return "No quota is configured; [[quota]] in the configuration file makes one.\n".to_owned();
    }
    let mut text = format!("{} ({})\n", moment(now.as_second(), zone), printable(&name(zone, now.as_second())));
    for note in notes {
        text = text + &printable(note) + "\n";
    }
    let bytes = |bytes| scaled(bytes, "B", false);
    let titles = ["quota", "period", "direction", "used", "limit", "used %", "at end", ""].map(str::to_owned);
    let line = |used: &Use<'_>| {
        let Quota { name, direction, limit, .. } = used.quota;
        let passed = if used.is_passed() { "passed" } else { "" };
        [
            printable(name),
            used.period.clone(),
            direction.name().to_owned(),
            bytes(used.used),
            bytes(*limit),
            format!("{} %", used.quota.percent(used.used)),
            used.estimate.map_or_else(|| "-".to_owned(), bytes),
            passed.to_owned(),
        ]
    };
    let lines: Vec<_> = [titles].into_iter().chain(uses.iter().map(line)).map(|cells| cells.to_vec()).collect();
    text + "\n" + &columns::aligned(&lines, 3)
}

impl<'a> Use<'a> {
    fn fields(&self, zone: &TimeZone) -> Fields<'a> {
        Fields {
            quota: &self.quota.name,
            period: self.quota.period.name(),
            from: iso(at(self.from), zone),
            to: iso(at(self.to), zone),
            direction: self.quota.direction.name(),
            limit_bytes: self.quota.limit,
            used_bytes: self.used,
            percent: self.quota.percent(self.used),
            estimated_bytes: self.estimate,
            passed: self.is_passed(),
        }
    }
}

fn json(uses: &[Use<'_>], notes: &[String], now: Timestamp, zone: &TimeZone) -> String {
    let uses = uses.iter().map(|used| used.fields(zone)).collect();
    let document =
        Document { schema: SCHEMA, at: iso(now, zone), zone: name(zone, now.as_second()), notes, quotas: uses };
    let mut out = Vec::new();
    write_json(&document, &mut out);
    out.push(b'\n');
    String::from_utf8(out).expect("JSON is text")
}
