//! Accounts that are new to clients. Pure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The series of a new account is 0 at least so long, so that clients that read more often see the beginning even if reports are more
/// frequent.
const HELD: Duration = Duration::from_secs(30);

/// The accounts whose series are 0, because `increase()` ignores the first value of a series.
#[derive(Default)]
pub(super) struct Begun {
    /// The largest number of an account at the last reading; `None` before the first one.
    newest: Option<i64>,
    /// When each account was first read.
    since: HashMap<i64, Instant>,
}

impl Begun {
    /// Notes the numbers of all accounts at a further report. The first report begins no account, because a restart must not take back
    /// values.
    pub(super) fn report(&mut self, accounts: impl Iterator<Item = i64> + Clone, now: Instant) {
        self.since.retain(|_, since| now.duration_since(*since) < HELD);
        if let Some(newest) = self.newest {
            self.since.extend(accounts.clone().filter(|id| *id > newest).map(|id| (id, now)));
        }
        self.newest = Some(accounts.max().unwrap_or_default());
    }

    pub(super) fn contains(&self, account: i64) -> bool {
        self.since.contains_key(&account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_new_until_the_next_report_and_half_a_minute() {
        let start = Instant::now();
        let (mut begun, at) = (Begun::default(), |seconds| start + Duration::from_secs(seconds));
        let mut new_at = |newest: i64, seconds| {
            begun.report(1..=newest, at(seconds));
            (1..=newest).filter(|id| begun.contains(*id)).collect::<Vec<_>>()
        };
        assert!(new_at(2, 0).is_empty(), "values are not taken back");
        assert_eq!(new_at(4, 60), [3, 4]);
        assert_eq!(new_at(5, 80), [3, 4, 5]);
        assert_eq!(new_at(5, 90), [5]);
        // Another book.
        assert!(new_at(0, 200).is_empty());
        assert_eq!(new_at(1, 260), [1]);
    }
}
