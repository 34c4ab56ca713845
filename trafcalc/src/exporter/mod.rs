//! `trafcalc exporter`: the totals of the book as metrics, for Prometheus and compatible systems.
//!
//! It is a separate process without privileges, so the service itself never speaks HTTP. It reads only the book. All values of an answer
//! come from one transaction of the book, so a kill or restart of either process neither resets nor repeats anything, and a scrape
//! costs the service nothing. It must never connect to the service.

mod begun;
mod error;
mod metrics;
mod otlp;
mod push;
mod serve;
mod text;
mod textfile;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

pub use error::ExporterError;
pub use push::Collector;

use crate::book::{BookError, GroupMembers, Quota, Reader, date_of};
use crate::config::{self, Overrides};
use crate::figure::printable;
use crate::host::Host;
use begun::Begun;
use error::NoMetrics;
use metrics::{Booked, Last};
use otlp::Times;
use text::{Family, TextFormat};

/// What is exported, and where to.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to.
    pub to: To,
    /// How many series there are at most.
    pub limits: Limits,
    /// The book; the configured one where there is none.
    pub book: Option<PathBuf>,
    /// The configuration file of the service.
    pub config: Option<PathBuf>,
}

/// How many series there are at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Users who have series of their own.
    pub users: usize,
    /// Accounts of one user whose series show their unit and program.
    pub accounts: usize,
}

/// Where metrics go.
#[derive(Clone, Debug)]
pub enum To {
    /// To those who ask by HTTP.
    Address(SocketAddr),
    /// Into a file, anew with each report.
    File(PathBuf),
    /// To a collector, with each report.
    Collector(Collector),
}

/// Exports until the process is killed. `members` makes the directory of users in the groups of these names.
///
/// # Errors
/// The configuration is wrong, the address cannot be listened at, or the file cannot be written.
pub fn run(
    request: Request,
    members: impl FnOnce(Vec<String>) -> Arc<dyn GroupMembers>,
) -> Result<Infallible, ExporterError> {
    let Request { to, limits, book, config } = request;
    let settings = config::resolve(&Overrides { config, book, ..Overrides::default() })?;
    let book = settings.book.ok_or(ExporterError::NoBookKept)?.path;
    let groups = settings.quotas.iter().flat_map(|quota| quota.groups.iter().cloned()).collect();
    let (quotas, members, begun) = (settings.quotas, members(groups), Begun::default());
    let exporter = Exporter { book, quotas, members, limits, begun, known: None };
    match to {
        To::Address(address) => serve::serve(address, exporter),
        To::File(path) => textfile::write(&path, exporter),
        To::Collector(collector) => {
            let host = Host::this(None).map_err(ExporterError::NoHost)?;
            push::push(&collector, &host, exporter)
        }
    }
}

/// Converts the contents of a book to metrics.
struct Exporter {
    book: PathBuf,
    quotas: Vec<Quota>,
    members: Arc<dyn GroupMembers>,
    limits: Limits,
    begun: Begun,
    /// The result of the last reading.
    known: Option<Known>,
}

struct Known {
    /// The last report at that time, and the version of the groups' members.
    of: ((i64, i64), u64),
    booked: Booked,
}

impl Exporter {
    /// Reads the book if it has a new report. Returns true if it has.
    fn renew(&mut self) -> Result<bool, NoMetrics> {
        let book = Reader::open(&self.book)?;
        let last = book.last_report()?;
        let of = (last.as_ref().map_or((0, 0), |last| (last.epoch, last.seq)), self.members.version());
        if self.known.as_ref().is_some_and(|known| known.of == of) {
            return Ok(false);
        }
        let last = last.map(Last::try_from).transpose()?;
        let (totals, gaps, quotas) = (book.totals()?, book.uncounted()?, self.used(&book)?);
        let begun = book.begun()?;
        // New members of a group are no new report.
        if self.known.as_ref().is_none_or(|known| known.of.0 != of.0) {
            self.begun.report(totals.iter().map(|(id, ..)| *id), Instant::now());
        }
        self.known = Some(Known { of, booked: Booked { begun, last, totals, gaps, quotas } });
        Ok(true)
    }

    /// The used part of each quota. Empty if the days of the book have no known time zone.
    fn used(&self, book: &Reader) -> Result<Vec<(String, f64)>, BookError> {
        if self.quotas.is_empty() {
            return Ok(Vec::new());
        }
        let contents = book.contents()?;
        let Some(zone) = contents.zone() else { return Ok(Vec::new()) };
        let date = date_of(Timestamp::now().as_second(), &zone);
        let used = book.quotas(&self.quotas, &*self.members, date, contents.billing_day)?;
        #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more digits")]
        let ratio =
            |(quota, used): (&Quota, crate::book::Used)| (quota.name.clone(), used.bytes() as f64 / quota.limit as f64);
        Ok(self.quotas.iter().zip(used).map(ratio).collect())
    }

    /// The last report that was read; `None` before the first one.
    fn report(&self) -> Option<(i64, i64)> {
        let known = self.known.as_ref()?;
        known.booked.last.as_ref().map(|_| known.of.0)
    }

    /// The metrics of that report for receivers who know when counters start, so that no series has to begin with 0; and these times.
    fn metrics(&self) -> Option<(Vec<Family>, Times)> {
        let booked = &self.known.as_ref()?.booked;
        let last = booked.last.as_ref()?;
        let times = Times { book: booked.begun, service: last.started, end: last.end };
        Some((metrics::families(booked, &Begun::default(), self.limits), times))
    }

    /// All metrics of the last reading; `None` before the first one. They change only if [`Self::renew`] returns true.
    fn text(&self, format: TextFormat) -> Option<String> {
        let known = self.known.as_ref()?;
        Some(text::text(&metrics::families(&known.booked, &self.begun, self.limits), format))
    }
}

/// Logs why there are no metrics, unless `told` is the same reason.
fn complain(error: &NoMetrics, told: &mut String) {
    log_once("no metrics", &error.to_string(), told);
}

/// Logs why something fails, unless `told` is the same reason.
fn log_once(what: &str, why: &str, told: &mut String) {
    if why != told {
        tracing::warn!("{what}: {}", printable(why));
        why.clone_into(told);
    }
}
