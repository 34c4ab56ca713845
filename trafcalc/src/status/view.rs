//! Which accounts a client may see. Pure.

use crate::capture::Health;
use crate::report::{AccountRecord, Report, Summary};
use crate::service::peer::Peer;

/// The accounts that a client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// All accounts.
    All,
    /// Those of this user.
    Only(u32),
}

impl View {
    /// What a client may see, by its kernel credentials.
    #[must_use]
    pub fn of(peer: &Peer) -> Self {
        if peer.is_of_the_service() { Self::All } else { Self::Only(peer.uid) }
    }

    /// Whether accounts of this user are seen.
    #[must_use]
    pub fn shows(self, uid: Option<u32>) -> bool {
        match self {
            Self::All => true,
            Self::Only(own) => uid == Some(own),
        }
    }

    /// The user, if only one is seen.
    #[must_use]
    pub const fn only_uid(self) -> Option<u32> {
        match self {
            Self::All => None,
            Self::Only(uid) => Some(uid),
        }
    }

    /// The visible part of a report. For a single user, the sums are those of the visible records.
    #[must_use]
    pub fn report(self, report: &Report) -> Report {
        let accounts: Vec<_> = report.accounts.iter().filter(|account| self.shows(account.uid)).cloned().collect();
        let sums = accounts.iter().fold([0; 4], |sums, account| {
            let AccountRecord { sent_bytes, received_bytes, sent_bytes_total, received_bytes_total, .. } = *account;
            add(sums, [sent_bytes, received_bytes, sent_bytes_total, received_bytes_total])
        });
        let summary = self.summary(&report.summary, accounts.len(), sums);
        Report { accounts, summary, steps: report.steps.clone() }
    }

    /// The visible part of a summary, if `accounts` are visible with these `sums`: sent and received in the period, and
    /// in all.
    #[must_use]
    pub fn summary(self, summary: &Summary, accounts: usize, sums: [u64; 4]) -> Summary {
        let mut seen = summary.clone();
        if self != Self::All {
            seen.accounts = accounts;
            [seen.sent_bytes, seen.received_bytes, seen.sent_bytes_total, seen.received_bytes_total] = sums;
            // These are about other users, too.
            seen.unattributed_bytes_total = 0;
            seen.health = Health::default();
            (seen.log_errors_total, seen.book_errors_total) = (0, 0);
            (seen.waiting_for, seen.declined) = (Vec::new(), Vec::new());
        }
        seen
    }
}

/// Adds sums one by one.
pub(super) fn add(sums: [u64; 4], more: [u64; 4]) -> [u64; 4] {
    std::array::from_fn(|place| sums[place].saturating_add(more[place]))
}
