//! The accounts: the only place where totals exist. Pure: no I/O, no clock, no names of users.

use std::collections::BTreeMap;

use crate::capture::{Batch, Bytes, Health, Owner};

/// Most accounts kept; the bytes of further owners go to [`Owner::Other`]. A row takes some 60 bytes, so all of them
/// take 4 MB; a host with more users that all talk TCP has not been met.
pub const MAX_ACCOUNTS: usize = 65_536;

/// One row: an owner's totals, and what of them has not been reported yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whose bytes.
    pub owner: Owner,
    /// All bytes since the start.
    pub total: Bytes,
    /// Those since the last snapshot that was [marked as reported](Ledger::mark_reported).
    pub unreported: Bytes,
}

/// The state of the ledger at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// All accounts, users first, in ascending order.
    pub accounts: Vec<Account>,
    /// The sum of all accounts since the start.
    pub total: Bytes,
    /// The sum of all accounts since the last report.
    pub unreported: Bytes,
    /// What could not be counted or attributed since the start.
    pub health: Health,
}

#[derive(Clone, Copy, Default)]
struct Row {
    total: Bytes,
    reported: Bytes,
}

/// All accounts.
#[derive(Default)]
pub struct Ledger {
    rows: BTreeMap<Owner, Row>,
    capture_health: Health,
    overflow_bytes: u64,
}

impl Ledger {
    /// Books what a backend counted.
    pub fn apply(&mut self, batch: &Batch) {
        for &(owner, bytes) in &batch.credits {
            self.credit(owner, bytes);
        }
        self.capture_health = batch.health;
    }

    fn credit(&mut self, owner: Owner, bytes: Bytes) {
        let owner = if self.has_room_for(owner) {
            owner
        } else {
            self.overflow_bytes += bytes.sent + bytes.received;
            Owner::Other
        };
        self.rows.entry(owner).or_default().total += bytes;
    }

    fn has_room_for(&self, owner: Owner) -> bool {
        !matches!(owner, Owner::User(_)) || self.rows.len() < MAX_ACCOUNTS || self.rows.contains_key(&owner)
    }

    /// All accounts as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            health: Health {
                overflow_bytes: self.capture_health.overflow_bytes + self.overflow_bytes,
                ..self.capture_health
            },
            ..Snapshot::default()
        };
        for (&owner, row) in &self.rows {
            let unreported = row.total - row.reported;
            snapshot.total += row.total;
            snapshot.unreported += unreported;
            snapshot.accounts.push(Account { owner, total: row.total, unreported });
        }
        snapshot
    }

    /// Notes that all of `snapshot` reached the log, so that the next one tells what came after it.
    pub fn mark_reported(&mut self, snapshot: &Snapshot) {
        for account in &snapshot.accounts {
            if let Some(row) = self.rows.get_mut(&account.owner) {
                row.reported = account.total;
            }
        }
    }
}

#[cfg(test)]
mod tests;
