//! The service: a loop over a closed list of events. The only file that knows all other parts.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nix::time::{ClockId, clock_gettime};

use crate::book::{Commit, Gap, Opened};
use crate::capture::{self, Backend, Baseline, Batch, By, CaptureError, OpenNotes, Started};
use crate::identity::subordinate::Subordinates;
use crate::identity::waiting::Waiting;
use crate::identity::{Identity, subordinate};
use crate::ledger::Ledger;
use crate::report::{Errors, Period, Report, Scope, Source, Summary};
use crate::service::events::Event;
use crate::service::{last_words, notify};
use crate::sinks::Counting;
use crate::status::{Audience, Latest};

mod booking;
mod clock;
mod days;
mod failure;
mod life;
mod opening;
mod pace;
mod run;
mod serving;
mod writing;

use clock::Clock;
use days::Days;
pub use failure::Failure;
use life::Life;
use pace::Pace;
pub use run::run;
pub use writing::Writing;

/// The clocks at one time.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For the log; may be set at any time.
    pub wall: SystemTime,
    /// For durations; never set.
    pub monotonic: Instant,
    /// The time since the host was started, including suspend.
    pub since_boot: Duration,
}

impl Now {
    fn read() -> Self {
        let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
        Self { wall: SystemTime::now(), monotonic: Instant::now(), since_boot }
    }
}

/// How long the loop waits without a book for a report to be written, so that the backend can note at once what was reported: if the
/// process is killed in between, the next one reports the same bytes again.
const A_WRITE: Duration = Duration::from_millis(5);

/// A part of a period shorter than this is not booked separately: a report has just been made.
const SHORT: Duration = Duration::from_millis(50);

/// The running service. Events and the time are passed to it.
pub struct Daemon {
    backend: Box<dyn Backend>,
    ledger: Ledger,
    identity: Identity,
    writing: Writing,
    waiting: Waiting,
    subordinates: Subordinates,
    source: Source,
    clock: Clock,
    /// By how many seconds the clock was set since the last report.
    step_s: Option<f64>,
    /// The number of the last report, and when it was made.
    seq: u64,
    reported_at: Instant,
    /// When the backend was last read.
    collected_at: Instant,
    /// When the last row of the book ended.
    cut_at: Instant,
    /// The kernel's counters from which the bytes since the last cut were taken.
    baseline: Option<Baseline>,
    /// The name of the counters that outlive this process, if any do.
    map: Option<Arc<str>>,
    /// The positions of open connections, after the last batch of a backend that leaves nothing in the kernel.
    open: OpenNotes,
    /// Whether everything that the backend handed out has been cut, that is, passed to the book.
    is_all_cut: bool,
    /// Users whose names the book does not have yet.
    unnamed: booking::Unnamed,
    /// Times that were not counted and are not reported yet.
    gaps: Vec<Gap>,
    /// When the book was begun, if totals count from then.
    begun: Option<SystemTime>,
    /// What the status socket serves.
    latest: Latest,
    /// The clients of reports and samples.
    audience: Option<Audience>,
    /// What accounts moved today and this month, for these clients.
    days: Option<Days>,
    /// Reports are shown on a terminal, with all accounts at the end.
    shows_totals: bool,
    pace: Pace,
}

type Flow = ControlFlow<Result<(), Failure>>;

impl Daemon {
    /// A service that counts since `begin` and has reported nothing yet. Its epoch is `epoch` unless the book has assigned one.
    #[must_use]
    pub fn new(
        started: Started,
        writing: Writing,
        opened: Option<Opened>,
        epoch: u64,
        begin: Now,
        by: By,
        host: Option<Arc<str>>,
    ) -> Self {
        let Started { backend, declined } = started;
        let Counting { backend: name, attach, method, goes_on } = counting(&*backend);
        let clock = Clock::new(begin);
        let mut identity = Identity::default();
        identity.remember(opened.iter().flat_map(|opened| opened.names.iter().cloned()), begin.monotonic);
        let life = Life::new(opened, epoch, begin, goes_on);
        let source = Source {
            host,
            epoch: life.epoch,
            since: life.begun.unwrap_or_else(|| clock.since()),
            backend: name,
            attach,
            method,
            waiting_for: Vec::new(),
            declined: declined.iter().map(ToString::to_string).collect(),
            by,
            booted: clock.booted(),
        };
        let nothing = Period { seq: 0, end: begin.wall, length: Duration::ZERO, step_s: None };
        let latest = Latest::new(Summary::new(&life.ledger.snapshot(), nothing, &source, Errors::default()));
        Self {
            backend,
            ledger: life.ledger,
            identity,
            writing,
            waiting: Waiting::default(),
            subordinates: Subordinates::default(),
            source,
            clock,
            step_s: None,
            seq: 0,
            reported_at: begin.monotonic,
            collected_at: begin.monotonic,
            cut_at: begin.monotonic,
            baseline: None,
            map: None,
            open: OpenNotes::default(),
            is_all_cut: false,
            unnamed: booking::Unnamed::default(),
            gaps: life.gaps,
            begun: life.begun,
            latest,
            audience: None,
            days: None,
            shows_totals: false,
            pace: Pace::default(),
        }
    }

    /// Records that the event taken at this time has been handled.
    fn note_turn(&mut self, taken: Now) {
        self.latest.set_longest_wait(self.pace.turned(taken.monotonic));
    }

    /// Registers the awaited users and units, which are counted when they appear.
    fn wait_for(&mut self, waiting: Waiting) {
        self.source.waiting_for = waiting.names().collect();
        self.latest.set(Summary { waiting_for: self.source.waiting_for.clone(), ..self.latest.get() });
        self.waiting = waiting;
    }

    /// What runs, in a few words.
    fn status(&self) -> String {
        let Source { backend, attach, method, .. } = &self.source;
        match (attach, method) {
            (Some(attach), Some(method)) => format!("counting with {backend} ({attach}, {method})"),
            _ => format!("counting with {backend}"),
        }
    }

    /// Handles `event`; breaks when the service ends.
    pub fn handle(&mut self, event: Event, now: Now) -> Flow {
        self.reckon(now);
        match event {
            Event::Tick | Event::ReportNow => self.report(now),
            Event::Border => self.cut(now),
            Event::Collect => self.look(now),
            Event::Sample => self.sample(now),
            Event::Reopen => {
                self.writing.reopen();
                self.waiting.hurry();
                self.subordinates.hurry();
                Flow::Continue(())
            }
            Event::Watchdog => {
                notify::alive();
                Flow::Continue(())
            }
            Event::Stop | Event::ReaderGone => Flow::Break(self.stop(now)),
            Event::BackendDied(error) => Flow::Break(self.backend_died(error, now)),
        }
    }

    /// Recomputes earlier wall clock times from the current setting of the clock.
    fn reckon(&mut self, now: Now) {
        if let Some(step_s) = self.clock.reckon(now) {
            tracing::warn!("the clock was set by {step_s} s");
            self.step_s = Some(self.step_s.unwrap_or_default() + step_s);
        }
        self.source.booted = self.clock.booted();
        self.source.since = self.begun.unwrap_or_else(|| self.clock.since());
    }

    /// Starts counting awaited users that have appeared, and passes on changed subordinate uids.
    fn admit(&mut self) -> Result<(), CaptureError> {
        if let Some(ranges) = self.subordinates.changed() {
            match self.backend.set_subordinates(&ranges) {
                Ok(()) => tracing::info!("{} was changed: it has {} ranges", subordinate::FILE, ranges.len()),
                Err(error) => tracing::warn!("{} was changed, but the change is not used: {error}", subordinate::FILE),
            }
        }
        let users = self.waiting.come();
        if users.is_empty() { Ok(()) } else { self.pace.in_backend(|| self.backend.want(&users)) }
    }

    /// Collects what the backend counted.
    fn collect(&mut self, now: Now) -> Flow {
        if self.is_all_cut && self.writing.is_idle(Duration::ZERO) {
            self.backend.reported();
        }
        match self.admit().and_then(|()| self.pace.in_backend(|| self.backend.collect())) {
            Ok(batch) => {
                self.collected_at = now.monotonic;
                self.source.waiting_for = self.waiting.names().collect();
                self.source.waiting_for.extend(batch.absent_interfaces.iter().map(|name| format!("interface {name}")));
                self.apply(batch);
                Flow::Continue(())
            }
            Err(error) => Flow::Break(self.backend_died(error, now)),
        }
    }

    /// Updates the status. Reports stay the same.
    fn look(&mut self, now: Now) -> Flow {
        self.collect(now)?;
        let summary = Summary::new(&self.ledger.snapshot(), self.period(now), &self.source, self.writing.errors());
        self.latest.set(summary);
        Flow::Continue(())
    }

    /// The period from the last report until `now`.
    fn period(&self, now: Now) -> Period {
        let length = now.monotonic.saturating_duration_since(self.reported_at);
        Period { seq: self.seq, end: now.wall, length, step_s: self.step_s }
    }

    fn report(&mut self, now: Now) -> Flow {
        self.collect(now)?;
        self.tell(Scope::Moved, now);
        Flow::Continue(())
    }

    /// Ends a row of the book: what moved until now belongs to it.
    fn cut(&mut self, now: Now) -> Flow {
        if now.monotonic.saturating_duration_since(self.cut_at) < SHORT {
            return Flow::Continue(());
        }
        self.book_now(now)
    }

    /// Books what moved until now, and the counters in the kernel that it was read from, without a report.
    fn book_now(&mut self, now: Now) -> Flow {
        self.collect(now)?;
        self.seq += 1;
        self.keep(None, false, now);
        Flow::Continue(())
    }

    fn stop(&mut self, now: Now) -> Result<(), Failure> {
        notify::stopping();
        let finished = self.finish();
        if finished.is_err() {
            self.end_unread(now);
        }
        let report = self.tell(Scope::All, now);
        match self.writing.finish() {
            Ok(()) => {
                if let Some(report) = report {
                    writing::show_totals(&report);
                }
                self.backend.reported();
                finished.map_err(Failure::BackendDied)
            }
            Err((records, reason)) => {
                // Standard error, usually the journal, is the last resort.
                last_words::say(records);
                Err(Failure::LastReportLost(reason))
            }
        }
    }

    /// Reports what was counted until the backend died.
    fn backend_died(&mut self, error: CaptureError, now: Now) -> Result<(), Failure> {
        tracing::error!("the backend {} died: {error}", self.source.backend);
        match self.stop(now) {
            Err(lost @ Failure::LastReportLost(_)) => Err(lost),
            // That it cannot finish is a consequence of its death.
            Ok(()) | Err(_) => Err(Failure::BackendDied(error)),
        }
    }

    fn finish(&mut self) -> Result<(), CaptureError> {
        let batch: Batch = self.backend.finish()?;
        self.apply(batch);
        Ok(())
    }

    /// The backend cannot report what moved since the last batch. If counters outlive the process, the next process reads it from them;
    /// otherwise that time is a gap.
    fn end_unread(&mut self, now: Now) {
        if let Some(map) = &self.map {
            self.baseline.get_or_insert_with(|| Baseline { map: Arc::clone(map), rows: Vec::new() });
        } else {
            let length = now.monotonic.saturating_duration_since(self.collected_at);
            let from = now.wall.checked_sub(length).unwrap_or(now.wall);
            self.gaps.push(Gap { from, to: now.wall, cause: "the backend failed".to_owned() });
        }
    }

    fn apply(&mut self, mut batch: Batch) {
        self.map = batch.baseline.as_ref().map(|baseline| Arc::clone(&baseline.map)).or(self.map.take());
        self.is_all_cut = false;
        self.open = std::mem::take(&mut batch.open);
        match (&mut self.baseline, batch.baseline.take()) {
            (Some(known), Some(next)) if known.map == next.map => known.add(next),
            (known, Some(next)) => *known = Some(next),
            (_, None) => {}
        }
        self.ledger.apply(&self.identity.name_units(batch));
    }

    /// Writes a report of what moved since the last one, or with `Scope::All` of all accounts. Returns the report if it is the last one
    /// and has to be shown.
    fn tell(&mut self, scope: Scope, now: Now) -> Option<Report> {
        self.seq += 1;
        let (snapshot, period) = (self.ledger.snapshot(), self.period(now));
        let mut names = match scope {
            Scope::Moved => self.identity.at(now.monotonic),
            Scope::All => self.identity.at_the_end(now.monotonic),
        };
        let mut report = Report::new(&snapshot, scope, period, &self.source, self.writing.errors(), &mut names);
        self.latest.set(report.summary.clone());
        if self.seq > 1 {
            report.summary.declined.clear();
        }
        let last = (self.shows_totals && scope == Scope::All).then(|| report.clone());
        self.keep(Some(report), scope == Scope::All, now);
        self.ledger.mark_reported();
        (self.reported_at, self.step_s) = (now.monotonic, None);
        last
    }

    /// Books what moved since the last cut, and writes `report` after that.
    fn keep(&mut self, report: Option<Report>, ended: bool, now: Now) {
        let (moved, mut health) = (self.ledger.cut(), self.ledger.snapshot().health);
        health.coarse_bytes += self.writing.errors().coarse_bytes;
        let length = now.monotonic.saturating_duration_since(self.cut_at);
        let period = Period { seq: self.seq, end: now.wall, length, step_s: None };
        if let Some(days) = &mut self.days {
            days.cut(self.seq, (now.wall.checked_sub(length).unwrap_or(now.wall), now.wall), &moved);
        }
        let gaps = std::mem::take(&mut self.gaps);
        let names = (&mut self.identity.at(now.monotonic), &mut self.unnamed);
        let (baseline, open) = (self.baseline.take(), std::mem::take(&mut self.open));
        let commit = || Commit { baseline, open, ..booking::commit(&moved, &health, &period, gaps, ended, names) };
        self.writing.tell(report, period.stamp(&self.source), commit);
        (self.cut_at, self.is_all_cut) = (now.monotonic, true);
        if !self.writing.has_book() && self.writing.is_idle(A_WRITE) {
            self.backend.reported();
        }
    }
}

fn counting(backend: &dyn Backend) -> Counting {
    let (attach, method) = backend.attach_and_method().unzip();
    Counting {
        backend: backend.kind().name(),
        attach: attach.map(capture::Attach::name),
        method: method.map(capture::Method::name),
        goes_on: backend.goes_on(),
    }
}

#[cfg(test)]
mod tests;
