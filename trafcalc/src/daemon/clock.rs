//! The wall clock, which may be set at any moment: what it would have shown when the host and the service were started. Pure.
//!
//! The daemon notes moments by the time since boot. What the wall clock would have shown then follows from how it is set now. A step of
//! more than half a second is a record.

use std::time::{Duration, SystemTime};

use super::Now;

/// A clock that is set right by the network time daemon moves by less than this between two looks at it.
const STEP: Duration = Duration::from_millis(500);

/// What the wall clock would have shown.
pub(super) struct Clock {
    /// When the host was started, as it is told.
    booted: SystemTime,
    /// The same, as the clock had it last.
    last: SystemTime,
    /// How long the host had been up when the service was started.
    begun: Duration,
}

impl Clock {
    pub(super) fn new(begin: Now) -> Self {
        let booted = booted(begin);
        Self { booted, last: booted, begun: begin.since_boot }
    }

    /// By how many seconds it was set since the last look, less than 0 for back; `None` if it only goes a little fast or slow.
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

/// How far it is from one time to the other, and whether it is back.
fn distance(from: SystemTime, to: SystemTime) -> (Duration, bool) {
    match to.duration_since(from) {
        Ok(length) => (length, false),
        Err(error) => (error.duration(), true),
    }
}
