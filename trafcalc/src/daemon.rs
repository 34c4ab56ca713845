//! The service: a loop over a closed list of events. The only file that knows everything else.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use nix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;

use crate::book::{self, Commit, Gap, Opened};
use crate::capture::{self, Alarm, Backend, Baseline, Batch, By, CaptureError, Started, StreamNote, Tried};
use crate::config::{self, Settings, Subordinate};
use crate::identity::waiting::Waiting;
use crate::identity::{Identity, directory, subordinate, wanted};
use crate::ledger::Ledger;
use crate::report::{Errors, GapRecord, Period, Report, Scope, Source, Summary};
use crate::service::events::{Borders, Event, Events, Timers};
use crate::service::keep::Keeper;
use crate::service::{last_words, notify, privileges};
use crate::sinks::Counting;
use crate::status::{self, Latest, Socket, SocketName};

mod booking;
mod clock;
mod failure;
mod life;
mod opening;
mod pace;
mod writing;

use clock::Clock;
pub use failure::Failure;
use life::{Life, epoch};
use pace::Pace;
pub use writing::Writing;

/// Counts and reports until it is told to stop.
pub fn run(settings: &Settings) -> Result<(), Failure> {
    let subordinates = match settings.subordinate {
        Subordinate::User => subordinate::read(Path::new(subordinate::FILE)),
        Subordinate::Apart => Vec::new(),
    };
    let (wanted, awaited) = wanted::resolve(&settings.only, Path::new("/proc"), &subordinates, directory::uid)?;
    let mut capture = capture::Settings { wanted, subordinates, ..settings.capture.clone() };
    privileges::check(settings.capture.backend)?;
    let keeper = opening::keeper(settings.keep.as_ref())?;
    capture.ebpf.keep = keeper.as_ref().map(Keeper::folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("tokio")?;
    // A book that is opened later takes its number from the same time, so that it has the log's.
    let first = Now::read();
    let kept = opening::book(settings, first)?;
    if let Some(opened) = kept.as_ref().and_then(|(_, opened)| opened.as_ref()) {
        (capture.former, capture.open) = (opened.baseline.clone(), opened.open.clone());
    }
    let mut log = opening::log(&settings.log)?;
    let status = match opening::status(settings.status.as_deref()) {
        Ok(status) => status,
        Err(error) => {
            log.discard();
            return Err(error.into());
        }
    };
    runtime.block_on(async {
        let (started, events) = match start(&capture) {
            Ok(started) => started,
            Err(failure) => {
                log.discard();
                return Err(failure);
            }
        };
        let (keeping, opened) = kept.unzip();
        let writing = Writing::start(log, keeping, counting(&*started.backend), events.reader_gone())?;
        let mut daemon = Daemon::new(
            started,
            writing,
            opened.flatten(),
            epoch(first.wall),
            Now::read(),
            settings.capture.by,
            settings.log.host.clone(),
        );
        daemon.wait_for(awaited);
        let _name = status.and_then(|socket| answer(socket, &daemon));
        turn(daemon, events, settings).await
    })
}

/// As long as what it gives lives, whoever asks is answered. That nobody can be is no reason not to count.
fn answer(socket: Socket, daemon: &Daemon) -> Option<SocketName> {
    let answered = status::answer(socket, daemon.latest.clone(), daemon.writing.watch());
    answered.inspect_err(|error| tracing::warn!("{error}; trafcalc status cannot ask this service")).ok()
}

fn start(settings: &capture::Settings) -> Result<(Started, Events), Failure> {
    // A backend dies once.
    let (died, deaths) = mpsc::channel(1);
    let events = Events::listen(deaths).context("listening to signals")?;
    let alarm: Alarm = Arc::new(move |error| {
        // When the daemon no longer listens, it is already ending.
        let _ = died.try_send(error);
    });
    let started = capture::start(settings, &alarm).map_err(|declined| Failure::NoBackend(Tried(declined)))?;
    Ok((started, events))
}

async fn turn(mut daemon: Daemon, mut events: Events, settings: &Settings) -> Result<(), Failure> {
    let borders = settings.book.as_ref().filter(|_| daemon.writing.has_book()).map(|book| {
        let zone = book.zone.clone();
        Box::new(move |at| book::next_border(at, &zone)) as Borders
    });
    let duration = settings.duration.map(config::RunTime::get);
    let mut timers = Timers::start(settings.interval.get(), borders, notify::watchdog_period(), duration);
    for sentence in &daemon.source.declined {
        tracing::info!("did not start {sentence}");
    }
    let status = daemon.status();
    tracing::info!("{status}, every {}", humantime::format_duration(settings.interval.get()));
    notify::ready(&status);
    loop {
        let event = events.next(&mut timers).await;
        let now = Now::read();
        if let ControlFlow::Break(end) = daemon.handle(event, now) {
            tracing::debug!("the loop kept an event waiting for {:?} at most", daemon.latest.longest_wait());
            return end;
        }
        daemon.note_turn(now);
    }
}

/// The clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For the log; may be set.
    pub wall: SystemTime,
    /// For lengths of time; never set.
    pub monotonic: Instant,
    /// How long the host has been up, asleep or not.
    pub since_boot: Duration,
}

impl Now {
    fn read() -> Self {
        let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
        Self { wall: SystemTime::now(), monotonic: Instant::now(), since_boot }
    }
}

/// Without a book the loop waits so long for a report to be written, so that the kernel can note at once what was reported: a process
/// that is killed in between tells that again.
const A_WRITE: Duration = Duration::from_millis(5);

/// A part of a period that is shorter than this is not booked by itself: a report has just been made.
const SHORT: Duration = Duration::from_millis(50);

/// The running service. What happens next, and when it is, it is told.
pub struct Daemon {
    backend: Box<dyn Backend>,
    ledger: Ledger,
    identity: Identity,
    writing: Writing,
    waiting: Waiting,
    source: Source,
    clock: Clock,
    /// By how much the clock was set since the last report.
    step_s: Option<f64>,
    /// The number of the last report, and when it was made.
    seq: u64,
    reported_at: Instant,
    /// When the book was cut last.
    cut_at: Instant,
    /// Where the kernel's counters stood that what was not cut yet was taken from.
    baseline: Option<Baseline>,
    /// The connections that are open, after the last batch of a backend that keeps nothing in the kernel.
    open: Vec<StreamNote>,
    /// Whether the backend has handed out something, and all of it is cut.
    is_all_cut: bool,
    /// Times that were not counted, which nobody was told of yet.
    gaps: Vec<Gap>,
    /// When the book was begun, if totals are since then.
    begun: Option<SystemTime>,
    /// For whoever asks for the status.
    latest: Latest,
    pace: Pace,
}

type Flow = ControlFlow<Result<(), Failure>>;

impl Daemon {
    /// A service that has reported nothing yet, and counts since `begin`. Its life has the number `epoch` where the book has given it
    /// none.
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
            source,
            clock,
            step_s: None,
            seq: 0,
            reported_at: begin.monotonic,
            cut_at: begin.monotonic,
            baseline: None,
            open: Vec::new(),
            is_all_cut: false,
            gaps: life.gaps,
            begun: life.begun,
            latest,
            pace: Pace::default(),
        }
    }

    /// An event that was taken then is handled.
    fn note_turn(&mut self, taken: Now) {
        self.latest.set_longest_wait(self.pace.turned(taken.monotonic));
    }

    /// Counts those who are waited for when they come.
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

    /// Does what `event` asks for; breaks with the end of the service.
    pub fn handle(&mut self, event: Event, now: Now) -> Flow {
        self.reckon(now);
        match event {
            Event::Tick | Event::ReportNow => self.report(now),
            Event::Border => self.cut(now),
            Event::Collect => self.look(now),
            Event::Reopen => {
                self.writing.reopen();
                self.waiting.hurry();
                Flow::Continue(())
            }
            Event::Watchdog => {
                notify::alive();
                Flow::Continue(())
            }
            Event::Stop | Event::ReaderGone => Flow::Break(self.stop(now)),
            Event::BackendDied(error) => Flow::Break(self.bury(error, now)),
        }
    }

    /// Times that were noted are by the clock as it is set now.
    fn reckon(&mut self, now: Now) {
        if let Some(step_s) = self.clock.reckon(now) {
            tracing::warn!("the clock was set by {step_s} s");
            self.step_s = Some(self.step_s.unwrap_or_default() + step_s);
        }
        self.source.booted = self.clock.booted();
        self.source.since = self.begun.unwrap_or_else(|| self.clock.since());
    }

    /// Has those counted who were waited for and have come.
    fn admit(&mut self) -> Result<(), CaptureError> {
        let users = self.waiting.come();
        if users.is_empty() { Ok(()) } else { self.pace.in_backend(|| self.backend.want(&users)) }
    }

    /// Asks the backend what it counted.
    fn collect(&mut self, now: Now) -> Flow {
        if self.is_all_cut && self.writing.is_idle(Duration::ZERO) {
            self.backend.reported();
        }
        match self.admit().and_then(|()| self.pace.in_backend(|| self.backend.collect())) {
            Ok(batch) => {
                self.source.waiting_for = self.waiting.names().collect();
                self.source.waiting_for.extend(batch.absent_interfaces.iter().map(|name| format!("interface {name}")));
                self.apply(batch);
                Flow::Continue(())
            }
            Err(error) => Flow::Break(self.bury(error, now)),
        }
    }

    /// Renews the status. Nothing that is reported changes by it.
    fn look(&mut self, now: Now) -> Flow {
        self.collect(now)?;
        let summary = Summary::new(&self.ledger.snapshot(), self.period(now), &self.source, self.writing.errors());
        self.latest.set(summary);
        Flow::Continue(())
    }

    /// The time from the last report until `now`.
    fn period(&self, now: Now) -> Period {
        let length = now.monotonic.saturating_duration_since(self.reported_at);
        Period { seq: self.seq, end: now.wall, length, step_s: self.step_s }
    }

    fn report(&mut self, now: Now) -> Flow {
        self.collect(now)?;
        self.tell(Scope::Moved, now);
        Flow::Continue(())
    }

    /// A row of the book ends: what moved until now belongs to it.
    fn cut(&mut self, now: Now) -> Flow {
        if now.monotonic.saturating_duration_since(self.cut_at) < SHORT {
            return Flow::Continue(());
        }
        self.collect(now)?;
        self.seq += 1;
        self.keep(None, false, now);
        Flow::Continue(())
    }

    fn stop(&mut self, now: Now) -> Result<(), Failure> {
        notify::stopping();
        let finished = self.finish();
        self.tell(Scope::All, now);
        match self.writing.finish() {
            Ok(()) => {
                self.backend.reported();
                finished.map_err(Failure::BackendDied)
            }
            Err((records, reason)) => {
                // Better in the journal than nowhere.
                last_words::say(records);
                Err(Failure::LastReportLost(reason))
            }
        }
    }

    /// Tells what was counted until the backend died.
    fn bury(&mut self, error: CaptureError, now: Now) -> Result<(), Failure> {
        tracing::error!("the backend {} died: {error}", self.source.backend);
        match self.stop(now) {
            Err(lost @ Failure::LastReportLost(_)) => Err(lost),
            // That it cannot finish either is not why it died.
            Ok(()) | Err(_) => Err(Failure::BackendDied(error)),
        }
    }

    fn finish(&mut self) -> Result<(), CaptureError> {
        let batch: Batch = self.backend.finish()?;
        self.apply(batch);
        Ok(())
    }

    fn apply(&mut self, mut batch: Batch) {
        self.is_all_cut = false;
        self.open = std::mem::take(&mut batch.open);
        match (&mut self.baseline, batch.baseline.take()) {
            (Some(known), Some(next)) if known.map == next.map => known.add(next),
            (known, Some(next)) => *known = Some(next),
            (_, None) => {}
        }
        self.ledger.apply(&self.identity.name_units(batch));
    }

    /// Has what moved since the last report written; all accounts at the end.
    fn tell(&mut self, scope: Scope, now: Now) {
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
        let gap = |gap: &Gap| GapRecord {
            stamp: period.stamp(&self.source),
            from: gap.from,
            to: gap.to,
            cause: gap.cause.clone(),
        };
        report.gaps = self.gaps.iter().map(gap).collect();
        self.keep(Some(report), scope == Scope::All, now);
        self.ledger.mark_reported();
        (self.reported_at, self.step_s) = (now.monotonic, None);
    }

    /// Has what moved since the book was cut booked, and `report` written behind it.
    fn keep(&mut self, report: Option<Report>, ended: bool, now: Now) {
        let (moved, mut health) = (self.ledger.cut(), self.ledger.snapshot().health);
        health.coarse_bytes += self.writing.errors().coarse_bytes;
        let length = now.monotonic.saturating_duration_since(self.cut_at);
        let period = Period { seq: self.seq, end: now.wall, length, step_s: None };
        // The log is told of them, too.
        let gaps = if report.is_some() { std::mem::take(&mut self.gaps) } else { Vec::new() };
        let names = &mut self.identity.at(now.monotonic);
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
    let (attach, method) = backend.way().unzip();
    Counting {
        backend: backend.kind().name(),
        attach: attach.map(capture::Attach::name),
        method: method.map(capture::Method::name),
        goes_on: backend.goes_on(),
    }
}

#[cfg(test)]
mod tests;
