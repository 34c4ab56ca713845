//! Everything that can happen to the running service, as a closed list, and where it comes from.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::capture::CaptureError;

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// An interval is over.
    Tick,
    /// A report is wanted at once (SIGUSR1).
    ReportNow,
    /// The log was rotated (SIGHUP).
    Reopen,
    /// The end is wanted (SIGTERM, SIGINT), or the time is over (`--duration`).
    Stop,
    /// The backend can count no longer.
    BackendDied(CaptureError),
    /// Long since the backend was asked: it keeps what it counted, and its room is not endless; and the status is to be
    /// of now.
    Collect,
    /// systemd wants to hear that the loop turns.
    Watchdog,
}

/// Where events come from.
pub struct Events {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    /// Never read: that it is listened for keeps a limit on file sizes from killing the service, so that it is an
    /// error of the write instead.
    _file_size: Signal,
    deaths: mpsc::Receiver<CaptureError>,
}

/// The backend is asked at least so often, however rare reports are.
const COLLECT_PERIOD: Duration = Duration::from_secs(10);

/// When things happen by themselves.
pub struct Timers {
    tick: Interval,
    collect: Option<Interval>,
    watchdog: Option<Interval>,
    end: Option<Instant>,
}

impl Events {
    /// Listens to signals from now on. Has to be called within a runtime.
    pub fn listen(deaths: mpsc::Receiver<CaptureError>) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            _file_size: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
            deaths,
        })
    }

    /// Waits for the next event; the end and deaths come before everything else.
    pub async fn next(&mut self, timers: &mut Timers) -> Event {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Event::Stop,
            _ = self.interrupt.recv() => Event::Stop,
            Some(error) = self.deaths.recv() => Event::BackendDied(error),
            () = until(timers.end) => Event::Stop,
            () = next_tick(timers.watchdog.as_mut()) => Event::Watchdog,
            _ = self.hangup.recv() => Event::Reopen,
            _ = self.user1.recv() => Event::ReportNow,
            _ = timers.tick.tick() => Event::Tick,
            () = next_tick(timers.collect.as_mut()) => Event::Collect,
        }
    }
}

impl Timers {
    /// Starts all clocks now. Has to be called within a runtime.
    #[must_use]
    pub fn start(interval: Duration, watchdog: Option<Duration>, duration: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            tick: every(interval, now),
            collect: (interval > COLLECT_PERIOD).then(|| every(COLLECT_PERIOD, now)),
            watchdog: watchdog.map(|period| every(period, now)),
            end: duration.map(|duration| now + duration),
        }
    }
}

/// A report that came late is not followed by a burst of them.
fn every(period: Duration, now: Instant) -> Interval {
    let mut interval = tokio::time::interval_at(now + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

async fn next_tick(interval: Option<&mut Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}
