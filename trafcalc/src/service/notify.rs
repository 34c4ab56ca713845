//! Notifies systemd (`sd_notify(3)`). Does nothing if systemd did not ask for it.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service is ready: counting has begun.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The service is stopping.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Feeds the watchdog: the loop still runs.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The period in which the watchdog is fed: half the time after which systemd would kill the service.
#[must_use]
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().and_then(period)
}

fn period(timeout: Duration) -> Option<Duration> {
    Some(timeout / 2).filter(|period| !period.is_zero())
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("systemd could not be notified: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_told_twice_in_its_time() {
        assert_eq!(period(Duration::from_mins(1)), Some(Duration::from_secs(30)));
        assert_eq!(period(Duration::ZERO), None);
    }
}
