//! Measures how long the loop keeps the next event waiting. It may wait for its backend only.

use std::time::{Duration, Instant};

/// The durations of the loop's turns. The only place of the loop that reads a clock, besides the time of an event.
#[derive(Default)]
pub(super) struct Pace {
    /// The time that the current turn spent in the backend.
    in_backend: Duration,
    longest: Duration,
}

impl Pace {
    /// Runs work of the backend, whose time is not counted.
    pub(super) fn in_backend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = work();
        self.in_backend += begin.elapsed();
        done
    }

    /// Ends a turn that began at `begin`. Returns the longest turn so far, without the time in the backend.
    pub(super) fn turned(&mut self, begin: Instant) -> Duration {
        self.took(begin.elapsed())
    }

    fn took(&mut self, length: Duration) -> Duration {
        self.longest = self.longest.max(length.saturating_sub(std::mem::take(&mut self.in_backend)));
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_turn_counts_without_the_backend_that_it_waited_for() {
        let mut pace = Pace::default();
        let ms = Duration::from_millis;
        assert_eq!(pace.in_backend(|| 7), 7);
        pace.in_backend = ms(50);
        assert_eq!(pace.took(ms(53)), ms(3));
        assert_eq!(pace.took(ms(2)), ms(3), "what a former turn waited is its own");
        assert_eq!(pace.took(ms(4)), ms(4));
    }
}
