//! The service: a loop over a closed list of events. The only file that knows everything else.

use std::io::Write as _;
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
use crate::service::keep::Keeper;
use crate::service::{notify, privileges};
use crate::sinks::{Log, SinkError};
use crate::status::{self, Latest, Socket, SocketName};

mod failure;
mod opening;

pub use failure::{Failure, Tried};

/// Counts and reports until it is told to stop.
pub fn run(settings: &Settings) -> Result<(), Failure> {
    let subordinates = match settings.subordinate {
        Subordinate::User => subordinate::read(Path::new(subordinate::FILE)),
        Subordinate::Apart => Vec::new(),
    };
    let wanted = wanted::resolve(&settings.only, Path::new("/proc"), &subordinates)?;
    let mut capture = capture::Settings { wanted, subordinates, ..settings.capture.clone() };
    privileges::check(settings.capture.backend)?;
    let keeper = opening::keeper(settings.keep.as_ref())?;
    capture.ebpf.keep = keeper.as_ref().map(Keeper::folder);
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
        match start(&capture) {
            Ok((started, events)) => {
                let daemon = Daemon::new(started, log, Now::read(), settings.capture.by);
                let _name = status.and_then(|socket| answer(socket, &daemon));
                turn(daemon, events, settings).await
            }
            Err(failure) => {
                log.discard();
                Err(failure)
            }
        }
    })
}

/// As long as what it gives lives, whoever asks is answered. That nobody can be is no reason not to count.
fn answer(socket: Socket, daemon: &Daemon) -> Option<SocketName> {
    let answered = status::answer(socket, daemon.latest.clone());
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

/// The running service. What happens next, and when it is, it is told.
pub struct Daemon {
    backend: Box<dyn Backend>,
    ledger: Ledger,
    identity: Identity,
    log: Log,
    source: Source,
    /// When the last report that was written ended.
    reported_at: Instant,
    /// For whoever asks for the status.
    latest: Latest,
    log_errors: u64,
    log_works: bool,
    reopen_wanted: bool,
}

type Flow = ControlFlow<Result<(), Failure>>;

impl Daemon {
    /// A service that has reported nothing yet, and counts since `begin`.
    #[must_use]
    pub fn new(started: Started, log: Log, begin: Now, by: By) -> Self {
        let Started { backend, declined } = started;
        let (attach, method) = backend.way().unzip();
        let source = Source {
            since: begin.wall,
            backend: backend.kind().name(),
            attach: attach.map(capture::Attach::name),
            method: method.map(capture::Method::name),
            declined: declined.iter().map(ToString::to_string).collect(),
            by,
            booted: begin.wall - begin.since_boot,
        };
        let nothing = Period { end: begin.wall, length: Duration::ZERO };
        let latest = Latest::new(Summary::new(&Snapshot::default(), nothing, &source, 0));
        Self {
            backend,
            ledger: Ledger::default(),
            identity: Identity::default(),
            log,
            source,
            reported_at: begin.monotonic,
            latest,
            log_errors: 0,
            log_works: true,
            reopen_wanted: false,
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
        match event {
            Event::Tick | Event::ReportNow => self.report(now),
            Event::Collect => self.look(now),
            Event::Reopen => {
                self.reopen_wanted = true;
                self.reopen();
                Flow::Continue(())
            }
            Event::Watchdog => {
                notify::alive();
                Flow::Continue(())
            }
            Event::Stop => Flow::Break(self.stop(now)),
            Event::BackendDied(error) => Flow::Break(self.bury(error, now)),
        }
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
        let summary = Summary::new(&self.ledger.snapshot(), self.period(now), &self.source, self.log_errors);
        self.latest.set(summary);
        Flow::Continue(())
    }

    /// The time from the last report that was written until `now`.
    fn period(&self, now: Now) -> Period {
        Period { end: now.wall, length: now.monotonic.saturating_duration_since(self.reported_at) }
    }

    fn report(&mut self, now: Now) -> Flow {
        self.collect(now)?;
        match self.write(Scope::Moved, now) {
            Err(SinkError::ReaderGone) => Flow::Break(Ok(())),
            // Told by `write`, and made good by the next report that can be written.
            Ok(()) | Err(_) => Flow::Continue(()),
        }
    }

    fn stop(&mut self, now: Now) -> Result<(), Failure> {
        notify::stopping();
        let finished = self.finish();
        match self.write(Scope::All, now) {
            Ok(()) | Err(SinkError::ReaderGone) => finished.map_err(Failure::BackendDied),
            Err(error) => {
                // Better in the journal than nowhere; when that fails, too, there is nobody left to tell.
                let _ = std::io::stderr().write_all(self.log.last_records());
                Err(Failure::LastReportLost(error))
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

    fn write(&mut self, scope: Scope, now: Now) -> Result<(), SinkError> {
        self.reopen();
        let snapshot = self.ledger.snapshot();
        let period = self.period(now);
        let names = &mut self.identity.at(now.monotonic);
        let report = Report::new(&snapshot, scope, period, &self.source, self.log_errors, names);
        let written = self.log.write(&report);
        match &written {
            Ok(()) => {
                self.ledger.mark_reported(&snapshot);
                self.backend.reported();
                self.reported_at = now.monotonic;
                self.note_log_works();
            }
            // Not a fault, but the end.
            Err(SinkError::ReaderGone) => {}
            Err(error) => self.note_log_error(error),
        }
        self.latest.set(Summary { log_errors_total: self.log_errors, ..report.summary });
        written
    }

    fn note_log_error(&mut self, error: &SinkError) {
        self.log_errors += 1;
        if self.log_works {
            tracing::error!("{error}; counting goes on, and each report tries again");
        }
        self.log_works = false;
    }

    fn note_log_works(&mut self) {
        if !self.log_works {
            tracing::info!("the log is written again; nothing was lost");
        }
        self.log_works = true;
    }

    /// Opens the log anew when that was asked for and has not worked yet.
    fn reopen(&mut self) {
        if !self.reopen_wanted {
            return;
        }
        match self.log.reopen() {
            Ok(()) => self.reopen_wanted = false,
            Err(error) => {
                self.log_errors += 1;
                tracing::error!("{error}; the old log is written on, and each report tries again");
            }
        }
    }
}

#[cfg(test)]
mod tests;
