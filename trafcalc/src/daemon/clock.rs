//! Computes when the host and the service were started, by a wall clock that may be set at any time. Pure.
//!
//! The daemon stores times as time since boot. The wall clock time follows from the current setting of the clock. A step of more than
//! half a second is reported.

use std::time::{Duration, SystemTime};

use super::Now;

/// A clock that a time daemon adjusts moves by less than this between two readings.
const STEP: Duration = Duration::from_millis(500);

/// The wall clock times of both starts.
pub(super) struct Clock {
    /// When the host was started, as reported.
    booted: SystemTime,
    /// The same, according to the last reading of the clock.
    last: SystemTime,
    /// The time since boot when the service was started.
    begun: Duration,
}

impl Clock {
    pub(super) fn new(begin: Now) -> Self {
        let booted = booted(begin);
        Self { booted, last: booted, begun: begin.since_boot }
    }

    /// By how many seconds the clock was set since the last call, negative if back; `None` if it only drifted.
    pub(super) fn reckon(&mut self, now: Now) -> Option<f64> {
        let last = std::mem::replace(&mut self.last, booted(now));
        if distance(self.booted, self.last).0 > STEP {
            self.booted = self.last;
        }
        let (step, is_back) = distance(last, self.last);
        let step_s = (step.as_secs_f64() * 1_000.0).round() / 1_000.0;
        (step > STEP).then_some(if is_back { -step_s } else { step_s })
    }

    /// When the host was started.
    pub(super) const fn booted(&self) -> SystemTime {
        self.booted
    }

    /// When the service was started.
    pub(super) fn since(&self) -> SystemTime {
        self.booted + self.begun
    }
}

fn booted(now: Now) -> SystemTime {
    now.wall - now.since_boot
}

/// The distance between two times, and whether the second is earlier.
fn distance(from: SystemTime, to: SystemTime) -> (Duration, bool) {
    match to.duration_since(from) {
        Ok(length) => (length, false),
        Err(error) => (error.duration(), true),
    }
}
