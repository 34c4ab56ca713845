//! The service: a loop over a closed list of events. The only file that knows everything else.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use nix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;

use crate::book::{self, Commit, Gap, Opened};
use crate::capture::{self, Alarm, Backend, Baseline, Batch, By, CaptureError, OpenNotes, Started, Tried};
use crate::config::{self, Settings, Subordinate};
use crate::identity::subordinate::Subordinates;
use crate::identity::waiting::Waiting;
use crate::identity::{Identity, directory, subordinate, wanted};
use crate::ledger::Ledger;
use crate::report::{Beside, Errors, Period, Report, Scope, Source, Summary};
use crate::service::events::{Borders, Event, Events, Timers};
use crate::service::keep::Keeper;
use crate::service::privileges::{self, Standing};
use crate::service::{last_words, notify};
use crate::sinks::{Counting, Follower};
use crate::status::{Audience, Latest};

mod booking;
mod clock;
mod days;
mod failure;
mod life;
mod opening;
mod pace;
mod serving;
mod writing;

use clock::Clock;
use days::Days;
pub use failure::Failure;
use life::{Life, epoch};
use pace::Pace;
use serving::serve;
pub use writing::Writing;

/// Counts and reports until it is told to stop.
pub fn run(settings: &Settings) -> Result<(), Failure> {
    let subordinates = match settings.subordinate {
        Subordinate::User => Subordinates::watch(Path::new(subordinate::FILE)),
        Subordinate::Apart => Subordinates::default(),
    };
    let ranges = subordinates.ranges().to_vec();
    let (wanted, awaited) = wanted::resolve(&settings.only, Path::new("/proc"), &ranges, directory::uid)?;
    let mut capture = capture::Settings { wanted, subordinates: ranges, ..settings.capture.clone() };
    privileges::check(settings.capture.backend)?;
    opening::require_descriptors()?;
    // Before another user: the folder may be one that root alone can enter.
    let keeper = opening::keeper(settings.keep.as_ref())?;
    opening::require_free(settings)?;
    let written = opening::written(settings, keeper.as_ref().map(Keeper::folder).as_deref());
    let standing = privileges::become_user(&settings.run_as, &written)?;
    let keeper = opening::ours(keeper, settings.keep.as_ref())?;
    capture.ebpf.keep = keeper.as_ref().map(Keeper::folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("tokio")?;
    // A book that is opened later takes its number from the same time, so that it has the log's.
    let first = Now::read();
    let kept = opening::book(settings, first)?;
    if let Some(opened) = kept.as_ref().and_then(|(_, opened)| opened.as_ref()) {
        (capture.former, capture.open) = (opened.baseline.clone(), opened.open.clone());
    }
    let mut log = opening::log(&settings.log)?;
    let sockets = match opening::sockets(settings) {
        Ok(sockets) => sockets,
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
        let drop = |standing| drop_privileges(standing, &*started.backend, &capture, settings);
        let privileges = match standing.map_or_else(|| Ok(ALL_KEPT.to_owned()), drop) {
            Ok(told) => told,
            Err(failure) => {
                log.discard();
                return Err(failure);
            }
        };
        tracing::info!("privileges: {privileges}");
        let (keeping, opened) = kept.unzip();
        let audience = Audience::new().context("clients of the sockets")?;
        let follower = {
            let audience = audience.clone();
            Box::new(move |beside: &Beside, report: Option<&Report>| audience.report(beside, report)) as Follower
        };
        let gone = events.reader_gone();
        let writing = Writing::start(log, keeping, counting(&*started.backend), gone, Some(follower))?;
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
        daemon.subordinates = subordinates;
        daemon.audience = Some(audience.clone());
        daemon.days = settings.book.as_ref().filter(|_| daemon.writing.has_book()).map(Days::new);
        daemon.shows_totals = opening::shows_tables(&settings.log);
        let _names = serve(sockets, (audience.clone(), privileges), &daemon, &events, settings);
        let end = turn(daemon, events, settings).await;
        audience.finish(LAST_TOLD);
        end
    })
}

/// What the status says of privileges where none are given up.
const ALL_KEPT: &str = "all that it was started with are kept, as service.run_as is empty";

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

/// Everything is open and the backend counts: nothing that comes needs more than this keeps.
fn drop_privileges(
    standing: Standing,
    backend: &dyn Backend,
    capture: &capture::Settings,
    settings: &Settings,
) -> Result<String, Failure> {
    if matches!(standing, Standing::User(_)) {
        privileges::share_log(&settings.log.path);
    }
    let places = opening::places(settings, capture.ebpf.keep.as_deref());
    let files = opening::written(settings, None).files;
    let plan = privileges::Plan::new(standing, backend.kind(), capture.by, &capture.wanted, (places, &files));
    Ok(privileges::drop(&plan.with_kernel())?)
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

/// How long the end waits until those who read have the last report.
const LAST_TOLD: Duration = Duration::from_secs(1);

/// A part of a period that is shorter than this is not booked by itself: a report has just been made.
const SHORT: Duration = Duration::from_millis(50);

/// The running service. What happens next, and when it is, it is told.
pub struct Daemon {
    backend: Box<dyn Backend>,
    ledger: Ledger,
    identity: Identity,
    writing: Writing,
    waiting: Waiting,
    subordinates: Subordinates,
    source: Source,
    clock: Clock,
    /// By how much the clock was set since the last report.
    step_s: Option<f64>,
    /// The number of the last report, and when it was made.
    seq: u64,
    reported_at: Instant,
    /// When the backend told last what it had counted.
    collected_at: Instant,
    /// When the book was cut last.
    cut_at: Instant,
    /// Where the kernel's counters stood that what was not cut yet was taken from.
    baseline: Option<Baseline>,
    /// Which counters outlive this process, if any do.
    map: Option<Arc<str>>,
    /// The connections that are open, after the last batch of a backend that keeps nothing in the kernel.
    open: OpenNotes,
    /// Whether the backend has handed out something, and all of it is cut.
    is_all_cut: bool,
    /// Users whose names the book has not got yet.
    unnamed: booking::Unnamed,
    /// Times that were not counted, which nobody was told of yet.
    gaps: Vec<Gap>,
    /// When the book was begun, if totals are since then.
    begun: Option<SystemTime>,
    /// For whoever asks for the status.
    latest: Latest,
    /// Those who look at reports and samples.
    audience: Option<Audience>,
    /// What of this day and month they are told.
    days: Option<Days>,
    /// Somebody looks at reports on a terminal, and is shown all accounts at the end.
    shows_totals: bool,
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

    /// Has those counted who were waited for and have come, and subordinate users for whom they belong to.
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

    /// Asks the backend what it counted.
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

    /// The backend cannot say what moved since the last batch. Where counters outlive the process, the next one reads it from them;
    /// else nobody does, so that time is a gap.
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

    /// Has what moved since the last report written; all accounts at the end. Gives what was told, if it is the end.
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

    /// Has what moved since the book was cut booked, and `report` written behind it.
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
