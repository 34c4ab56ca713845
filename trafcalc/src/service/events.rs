//! All events of the running service, as a closed list, and their sources.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::ZonedDateTime as Zoned;
use jiff::tz::TimeZone;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::capture::CaptureError;

/// An event.
#[derive(Debug)]
pub enum Event {
    /// An interval has ended.
    Tick,
    /// A report is wanted at once (SIGUSR1).
    ReportNow,
    /// A row of the book ends.
    Border,
    /// The log was rotated (SIGHUP).
    Reopen,
    /// The service has to end (SIGTERM, SIGINT), or its time is over (`--duration`).
    Stop,
    /// The backend can no longer count.
    BackendDied(CaptureError),
    /// The reader of the log has gone.
    ReaderGone,
    /// The backend was last read long ago: it must not buffer too much, and the status has to be current.
    Collect,
    /// A client wants a sample between reports.
    Sample,
    /// The watchdog of systemd has to be fed.
    Watchdog,
}

/// Where events come from.
pub struct Events {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    /// Never read. Handling SIGXFSZ keeps a limit on file sizes from killing the service: the write fails instead.
    _file_size: Signal,
    deaths: mpsc::Receiver<CaptureError>,
    no_reader: Arc<Notify>,
    /// How often samples are wanted.
    every: watch::Receiver<Option<Duration>>,
    set_every: Arc<watch::Sender<Option<Duration>>>,
}

/// The least time between two samples, however clients come and go: each is a sweep of all connections.
const MIN_SAMPLE_PERIOD: Duration = Duration::from_secs(1);

/// The backend is read at least this often, however rare reports are.
const COLLECT_PERIOD: Duration = Duration::from_secs(10);

/// The next time after the given one at which a row of the book ends.
pub type Borders = Box<dyn Fn(SystemTime) -> SystemTime>;

/// The timers.
pub struct Timers {
    interval: Duration,
    zone: TimeZone,
    tick: Instant,
    /// If there is a book: the function that computes the ends of its rows, and the next one.
    borders: Option<(Borders, Instant)>,
    collect: Option<Interval>,
    sample: Option<Interval>,
    sampled: Option<Instant>,
    watchdog: Option<Interval>,
    end: Option<Instant>,
}

impl Events {
    /// Handles signals from now on. Must be called within a runtime.
    pub fn listen(deaths: mpsc::Receiver<CaptureError>) -> io::Result<Self> {
        let (set_every, every) = watch::channel(None);
        Ok(Self {
            every,
            set_every: Arc::new(set_every),
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            _file_size: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
            deaths,
            no_reader: Arc::default(),
        })
    }

    /// The function that the log calls when its reader has gone.
    pub fn reader_gone(&self) -> impl Fn() + Send + 'static {
        let no_reader = Arc::clone(&self.no_reader);
        move || no_reader.notify_one()
    }

    /// The function that sets how often samples are wanted, called whenever that changes.
    pub fn set_every(&self) -> impl Fn(Option<Duration>) + Send + 'static {
        let set_every = Arc::clone(&self.set_every);
        move |every| {
            set_every.send_replace(every);
        }
    }

    /// Waits for the next event. The end and the death of the backend come before everything else.
    pub async fn next(&mut self, timers: &mut Timers) -> Event {
        loop {
            let event = self.next_or_change(timers).await;
            if let Some(event) = event {
                return event;
            }
            let every = *self.every.borrow_and_update();
            timers.sample_every(every);
        }
    }

    /// The next event, or `None` if the period of samples has changed.
    async fn next_or_change(&mut self, timers: &mut Timers) -> Option<Event> {
        let event = tokio::select! {
            biased;
            _ = self.terminate.recv() => Event::Stop,
            _ = self.interrupt.recv() => Event::Stop,
            Some(error) = self.deaths.recv() => Event::BackendDied(error),
            () = self.no_reader.notified() => Event::ReaderGone,
            () = until(timers.end) => Event::Stop,
            () = next_tick(timers.watchdog.as_mut()) => Event::Watchdog,
            _ = self.hangup.recv() => Event::Reopen,
            _ = self.user1.recv() => Event::ReportNow,
            () = until(Some(timers.tick)) => {
                timers.align(true);
                Event::Tick
            }
            () = until(timers.borders.as_ref().map(|borders| borders.1)) => {
                timers.align(false);
                Event::Border
            }
            () = next_tick(timers.collect.as_mut()) => {
                // The clock may have been set.
                timers.align(false);
                Event::Collect
            }
            () = next_tick(timers.sample.as_mut()) => {
                timers.sampled = Some(Instant::now());
                Event::Sample
            }
            Ok(()) = self.every.changed() => return None,
        };
        Some(event)
    }
}

impl Timers {
    /// Starts all timers now. Must be called within a runtime.
    #[must_use]
    pub fn start(
        interval: Duration,
        borders: Option<Borders>,
        watchdog: Option<Duration>,
        duration: Option<Duration>,
    ) -> Self {
        let (now, zone) = (Instant::now(), TimeZone::system());
        Self {
            tick: now + until_next(&Zoned::now().with_time_zone(zone.clone()), interval),
            interval,
            zone,
            borders: borders.map(|borders| {
                let next = now + until_border(&borders);
                (borders, next)
            }),
            collect: (interval > COLLECT_PERIOD).then(|| every(COLLECT_PERIOD, now)),
            sample: None,
            sampled: None,
            watchdog: watchdog.map(|period| every(period, now)),
            end: duration.map(|duration| now + duration),
        }
    }
}

impl Timers {
    /// Sets the period of samples from now on, the first one at once, or stops them.
    fn sample_every(&mut self, period: Option<Duration>) {
        self.sample = period.map(|period| {
            let now = Instant::now();
            let first = self.sampled.map_or(now, |sampled| now.max(sampled + MIN_SAMPLE_PERIOD));
            beginning(first, period)
        });
    }

    /// Sets the next report to the time when the wall clock, as it is set now, shows a multiple of the interval. Timers are not exact,
    /// so directly after a report a multiple that is almost now is skipped.
    fn align(&mut self, is_behind_report: bool) {
        let now = Zoned::now().with_time_zone(self.zone.clone());
        let left = until_next(&now, self.interval);
        let a_moment = (self.interval / 16).min(A_MOMENT);
        let is_the_same = is_behind_report && left < a_moment;
        // A report that is due now stays: the wall clock may show its time already, and the next multiple is an interval away.
        let is_due = !is_behind_report && self.tick < Instant::now() + a_moment;
        if !is_due {
            self.tick = Instant::now() + if is_the_same { left + self.interval } else { left };
        }
        if let Some((borders, next)) = &mut self.borders {
            *next = Instant::now() + until_border(borders);
        }
    }
}

/// The time until a row of the book ends. A cut that comes a little early would end in the row before, so this is a little late.
fn until_border(borders: &Borders) -> Duration {
    let now = SystemTime::now();
    borders(now).duration_since(now).unwrap_or_default() + Duration::from_millis(1)
}

/// How much too early a timer may be against the wall clock.
const A_MOMENT: Duration = Duration::from_millis(100);

/// The time until the clock shows a multiple of `interval`, counted from midnight; a whole interval if it shows one now.
fn until_next(now: &Zoned, interval: Duration) -> Duration {
    let since_midnight =
        now.start_of_day().map_or(Duration::ZERO, |midnight| now.duration_since(&midnight).unsigned_abs());
    let over = Duration::from_nanos_u128(since_midnight.as_nanos() % interval.as_nanos());
    interval.saturating_sub(over)
}

fn every(period: Duration, now: Instant) -> Interval {
    beginning(now + period, period)
}

fn beginning(first: Instant, period: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(first, period);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest that anything here may take, on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn left(now: &str, interval: Duration) -> Duration {
        until_next(&now.parse().unwrap(), interval)
    }

    #[test]
    fn reports_come_on_multiples_of_the_interval() {
        let minute = Duration::from_mins(1);
        assert_eq!(left("2026-11-26T02:03:38.5[Europe/Vienna]", minute), Duration::from_millis(21_500));
        assert_eq!(left("2026-11-26T02:03:59.9[Europe/Vienna]", minute), Duration::from_millis(100));
        assert_eq!(left("2026-11-26T02:04:00[Europe/Vienna]", minute), minute);
        assert_eq!(
            left("2026-11-26T02:03:38.55[Europe/Vienna]", Duration::from_millis(100)),
            Duration::from_millis(50)
        );
    }

    #[test]
    fn hours_are_those_of_the_zone() {
        let hour = Duration::from_hours(1);
        assert_eq!(left("2026-11-26T02:30:00[Asia/Kolkata]", hour), Duration::from_mins(30));
        assert_eq!(
            left("2026-11-26T02:30:00[Asia/Kolkata]", Duration::from_hours(24)),
            Duration::from_mins(21 * 60 + 30)
        );
    }

    #[test]
    fn a_day_of_another_length_ends_at_a_multiple_all_the_same() {
        // The night in which summer time ends: it is 02:30 twice.
        assert_eq!(left("2026-10-25T02:30:00+01:00[Europe/Vienna]", Duration::from_hours(1)), Duration::from_mins(30));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_late_tick_comes_once_and_not_for_each_that_was_missed() {
        let period = Duration::from_secs(20);
        let mut late = every(period, Instant::now().checked_sub(4 * period).unwrap());
        late.tick().await;
        let next = tokio::time::timeout(Duration::ZERO, late.tick()).await;
        assert!(next.is_err(), "it is made good by the first");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_backend_is_asked_between_reports_only_where_they_are_rare() {
        let collects = |interval| Timers::start(interval, None, None, None).collect.map(|collect| collect.period());
        assert_eq!(collects(Duration::from_mins(1)), Some(COLLECT_PERIOD));
        assert_eq!(collects(COLLECT_PERIOD), None);
        assert_eq!(collects(Duration::from_secs(1)), None);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_first_sample_comes_at_once_and_no_two_are_closer_than_a_second() {
        let mut timers = Timers::start(Duration::from_mins(1), None, None, None);
        let hour = Duration::from_hours(1);
        timers.sample_every(Some(hour));
        let first = tokio::time::timeout(PATIENCE, next_tick(timers.sample.as_mut())).await;
        assert!(first.is_ok(), "who asks is not kept waiting for his period");
        timers.sampled = Some(Instant::now() + hour);
        timers.sample_every(Some(MIN_SAMPLE_PERIOD));
        let next = tokio::time::timeout(Duration::ZERO, next_tick(timers.sample.as_mut())).await;
        assert!(next.is_err(), "who comes and goes has no more sweeps done than who stays");
        timers.sample_every(None);
        assert!(timers.sample.is_none());
    }

    /// Other events come in between, such as every ten seconds if reports are rarer.
    #[tokio::test(flavor = "current_thread")]
    async fn what_happens_in_between_puts_no_report_off() {
        for interval in [Duration::from_mins(1), Duration::from_mins(5), Duration::from_hours(24)] {
            let mut timers = Timers::start(interval, None, None, None);
            let first = timers.tick;
            for _ in 0..5 {
                timers.align(false);
                let moved = timers.tick.max(first) - timers.tick.min(first);
                assert!(moved < A_MOMENT, "{interval:?}: {moved:?}");
            }
            // The wall clock shows the time of the report, and its timer is a little later.
            timers.tick = Instant::now() + Duration::from_micros(200);
            let due = timers.tick;
            timers.align(false);
            assert_eq!(timers.tick, due, "{interval:?}: the report is put off");
            timers.align(true);
            let left = timers.tick.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && left <= interval + A_MOMENT, "{interval:?}: {left:?}");
        }
        // The next multiple is never skipped before its report.
        let day = Duration::from_hours(24);
        assert_eq!(left("2026-11-26T23:59:57[Europe/Vienna]", day), Duration::from_secs(3));
        assert_eq!(left("2026-11-26T23:59:57[Europe/Vienna]", Duration::from_mins(1)), Duration::from_secs(3));
    }
}
