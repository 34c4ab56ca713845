//! The service: a loop over a closed list of events. The only file that knows everything else.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use nix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;

use crate::capture::{self, Alarm, Backend, Batch, By, CaptureError, Started};
use crate::config::{self, Settings, Subordinate};
use crate::identity::{Identity, subordinate, wanted};
use crate::ledger::{Ledger, Snapshot};
use crate::report::{Period, Report, Scope, Source, Summary};
use crate::service::events::{Event, Events, Timers};
use crate::service::{last_words, notify, privileges};
use crate::sinks::{Outlet, Unwritten};
use crate::status::{self, Latest, Socket, SocketName};

mod clock;
mod failure;
mod opening;

use clock::Clock;
pub use failure::{Failure, Tried};

/// Counts and reports until it is told to stop.
pub fn run(settings: &Settings) -> Result<(), Failure> {
    let subordinates = match settings.subordinate {
        Subordinate::User => subordinate::read(Path::new(subordinate::FILE)),
        Subordinate::Apart => Vec::new(),
    };
    let wanted = wanted::resolve(&settings.only, Path::new("/proc"), &subordinates)?;
    let capture = capture::Settings { wanted, subordinates, ..settings.capture.clone() };
    privileges::check(settings.capture.backend)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("tokio")?;
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
        let outlet = Outlet::start(log, events.reader_gone()).context("starting the thread of the log")?;
        let daemon = Daemon::new(started, outlet, Now::read(), settings.capture.by, settings.log.host.clone());
        let _name = status.and_then(|socket| answer(socket, &daemon));
        turn(daemon, events, settings).await
    })
}

/// As long as what it gives lives, whoever asks is answered. That nobody can be is no reason not to count.
fn answer(socket: Socket, daemon: &Daemon) -> Option<SocketName> {
    let answered = status::answer(socket, daemon.latest.clone(), daemon.log.watch());
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
    let mut timers =
        Timers::start(settings.interval.get(), notify::watchdog_period(), settings.duration.map(config::RunTime::get));
    for sentence in &daemon.source.declined {
        tracing::info!("did not start {sentence}");
    }
    let status = daemon.status();
    tracing::info!("{status}, every {}", humantime::format_duration(settings.interval.get()));
    notify::ready(&status);
    loop {
        let event = events.next(&mut timers).await;
        if let ControlFlow::Break(end) = daemon.handle(event, Now::read()) {
            return end;
        }
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

/// How long the end of the service waits for its log. With what else there is to say it ends within five seconds.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// The running service. What happens next, and when it is, it is told.
pub struct Daemon {
    backend: Box<dyn Backend>,
    ledger: Ledger,
    identity: Identity,
    log: Outlet,
    source: Source,
    clock: Clock,
    /// By how much the clock was set since the last report.
    step_s: Option<f64>,
    /// The number of the last report, and when it was made.
    seq: u64,
    reported_at: Instant,
    /// For whoever asks for the status.
    latest: Latest,
}

type Flow = ControlFlow<Result<(), Failure>>;

impl Daemon {
    /// A service that has reported nothing yet, and counts since `begin`.
    #[must_use]
    pub fn new(started: Started, log: Outlet, begin: Now, by: By, host: Option<Arc<str>>) -> Self {
        let Started { backend, declined } = started;
        let (attach, method) = backend.way().unzip();
        let clock = Clock::new(begin);
        let source = Source {
            host,
            epoch: epoch(begin.wall),
            since: clock.since(),
            backend: backend.kind().name(),
            attach: attach.map(capture::Attach::name),
            method: method.map(capture::Method::name),
            declined: declined.iter().map(ToString::to_string).collect(),
            by,
            booted: clock.booted(),
        };
        let nothing = Period { seq: 0, end: begin.wall, length: Duration::ZERO, step_s: None };
        let latest = Latest::new(Summary::new(&Snapshot::default(), nothing, &source, 0));
        Self {
            backend,
            ledger: Ledger::default(),
            identity: Identity::default(),
            log,
            source,
            clock,
            step_s: None,
            seq: 0,
            reported_at: begin.monotonic,
            latest,
        }
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
            Event::Collect => self.look(now),
            Event::Reopen => {
                self.log.reopen();
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
        (self.source.since, self.source.booted) = (self.clock.since(), self.clock.booted());
    }

    /// Asks the backend what it counted.
    fn collect(&mut self, now: Now) -> Flow {
        match self.backend.collect() {
            Ok(batch) => {
                self.ledger.apply(&self.identity.name_units(batch));
                Flow::Continue(())
            }
            Err(error) => Flow::Break(self.bury(error, now)),
        }
    }

    /// Renews the status. Nothing that is reported changes by it.
    fn look(&mut self, now: Now) -> Flow {
        self.collect(now)?;
        let summary = Summary::new(&self.ledger.snapshot(), self.period(now), &self.source, self.log.errors());
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

    fn stop(&mut self, now: Now) -> Result<(), Failure> {
        notify::stopping();
        let finished = self.finish();
        self.tell(Scope::All, now);
        match self.log.finish(LAST_WRITES) {
            Ok(()) => finished.map_err(Failure::BackendDied),
            Err(Unwritten { records, reason }) => {
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
        self.ledger.apply(&self.identity.name_units(batch));
        Ok(())
    }

    /// Has what moved since the last report written.
    fn tell(&mut self, scope: Scope, now: Now) {
        self.seq += 1;
        let (snapshot, period) = (self.ledger.report(), self.period(now));
        (self.reported_at, self.step_s) = (now.monotonic, None);
        let names = &mut self.identity.at(now.monotonic);
        let mut report = Report::new(&snapshot, scope, period, &self.source, self.log.errors(), names);
        self.latest.set(report.summary.clone());
        if self.seq > 1 {
            report.summary.declined.clear();
        }
        self.log.tell(report);
    }
}

/// The number of a life of the counting that begins now. Milliseconds since 1970, so that no two have the same.
fn epoch(now: SystemTime) -> u64 {
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
