//! The service from its start to its end: everything is opened, then counts, then gives up its privileges, and is ready.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;

use super::days::Days;
use super::life::epoch;
use super::serving::serve;
use super::{Daemon, Failure, Flow, Now, Writing, counting, opening};
use crate::book;
use crate::capture::{self, Alarm, Backend, Baseline, Started, Tried};
use crate::config::{self, Settings, Subordinate};
use crate::identity::subordinate::Subordinates;
use crate::identity::{directory, subordinate, wanted};
use crate::report::{Beside, Report};
use crate::service::events::{Borders, Events, Timers};
use crate::service::keep::Keeper;
use crate::service::notify;
use crate::service::privileges::{self, Standing};
use crate::sinks::Follower;
use crate::status::Audience;

/// Counts and reports until it has to stop.
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
    // Before the change of user: the folder may be one that only root can enter.
    let keeper = opening::keeper(settings.keep.as_ref())?;
    opening::require_free(settings)?;
    let written = opening::written(settings, keeper.as_ref().map(Keeper::folder).as_deref());
    let standing = privileges::become_user(&settings.run_as, &written)?;
    let keeper = opening::ours(keeper, settings.keep.as_ref())?;
    capture.ebpf.keep = keeper.as_ref().map(Keeper::folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("tokio")?;
    // The epoch is taken from this time, also by a book that is opened later, so that book and log have the same.
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
        let end = if has_counted_elsewhere(&capture) { daemon.book_now(Now::read()) } else { Flow::Continue(()) };
        let end = match end {
            Flow::Continue(()) => turn(daemon, events, settings).await,
            Flow::Break(end) => end,
        };
        audience.finish(LAST_TOLD);
        end
    })
}

/// Whether the book's last report was not taken from counters in the kernel, and this service keeps such counters: the next process would
/// discard them as counted by another.
fn has_counted_elsewhere(capture: &capture::Settings) -> bool {
    let is_elsewhere = capture.former.as_ref().is_some_and(|former| &*former.map == Baseline::ELSEWHERE);
    is_elsewhere && capture.ebpf.keep.is_some()
}

/// How long the end waits until clients have the last report.
const LAST_TOLD: Duration = Duration::from_secs(1);

/// What the status says about privileges if none are given up.
const ALL_KEPT: &str = "all that it was started with are kept, as service.run_as is empty";

fn start(settings: &capture::Settings) -> Result<(Started, Events), Failure> {
    // A backend dies at most once.
    let (died, deaths) = mpsc::channel(1);
    let events = Events::listen(deaths).context("listening to signals")?;
    let alarm: Alarm = Arc::new(move |error| {
        // If the daemon no longer listens, it is already ending.
        let _ = died.try_send(error);
    });
    let started = capture::start(settings, &alarm).map_err(|declined| Failure::NoBackend(Tried(declined)))?;
    Ok((started, events))
}

/// Gives up privileges: everything is open and the backend counts, so nothing that follows needs more than this keeps.
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
