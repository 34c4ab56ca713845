//! The accounts in memory, the only place where totals exist. Pure: no I/O, no clock, no names of users.

use std::collections::BTreeMap;

use crate::capture::{Batch, Bytes, Health, Owner};

/// Most accounts kept; the bytes of further owners go to [`Owner::OTHER`]. A row takes some 150 bytes, so all of them
/// take 10 MB. No host with more users that all use TCP is known.
pub const MAX_ACCOUNTS: usize = 65_536;

/// Most accounts finer than a user; the bytes of further ones go to their users.
pub const MAX_FINE_ACCOUNTS: usize = MAX_ACCOUNTS / 2;

/// An account as a snapshot shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whose bytes these are.
    pub owner: Owner,
    /// The total since the start.
    pub total: Bytes,
    /// What moved since the last [report](Ledger::mark_reported).
    pub moved: Bytes,
    /// What this ledger counted: the total without that of former epochs.
    pub of_life: Bytes,
}

/// The state of the ledger at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// All accounts, ordered by uid; those without a user come last.
    pub accounts: Vec<Account>,
    /// The sum of all totals, including accounts that were removed.
    pub total: Bytes,
    /// The sum of what moved since the last report.
    pub moved: Bytes,
    /// The part of `total` that could not be attributed to any user.
    pub unattributed: Bytes,
    /// What could not be counted or attributed since the start.
    pub health: Health,
}

impl Snapshot {
    fn count(&mut self, owner: &Owner, bytes: Bytes) {
        self.total += bytes;
        if *owner == Owner::UNATTRIBUTED {
            self.unattributed += bytes;
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Row {
    total: Bytes,
    former: Bytes,
    reported: Bytes,
    cut: Bytes,
    is_gone: bool,
}

/// The accounts.
#[derive(Default)]
pub struct Ledger {
    rows: BTreeMap<Owner, Row>,
    capture_health: Health,
    overflow_bytes: u64,
    coarse_bytes: u64,
    /// The totals of owners that were reported and removed.
    gone: Bytes,
    /// Bytes of former epochs whose owners have no row yet.
    former: BTreeMap<Owner, Bytes>,
}

impl Ledger {
    /// A ledger that continues the totals of former epochs; `others` is the sum of owners that never return.
    #[must_use]
    pub fn going_on_from(former: impl IntoIterator<Item = (Owner, Bytes)>, others: Bytes) -> Self {
        let mut ledger = Self { gone: others, ..Self::default() };
        for (owner, bytes) in former {
            *ledger.former.entry(owner).or_default() += bytes;
        }
        ledger
    }

    /// Books what a backend counted.
    pub fn apply(&mut self, batch: &Batch) {
        for (owner, bytes) in &batch.credits {
            self.credit(owner, *bytes);
        }
        for owner in &batch.gone {
            if let Some(row) = self.rows.get_mut(owner) {
                row.is_gone = true;
            }
        }
        self.capture_health = batch.health;
    }

    fn credit(&mut self, owner: &Owner, bytes: Bytes) {
        if let Some(row) = self.rows.get_mut(owner) {
            row.total += bytes;
            row.is_gone = false;
            return;
        }
        match owner.uid() {
            Some(uid) if owner.is_fine() && self.rows.len() >= MAX_FINE_ACCOUNTS => {
                self.coarse_bytes += bytes.sent + bytes.received;
                self.credit(&Owner::user(uid).in_class(owner.class.clone()), bytes);
            }
            Some(_) if self.rows.len() >= MAX_ACCOUNTS => {
                self.overflow_bytes += bytes.sent + bytes.received;
                self.credit(&Owner::OTHER, bytes);
            }
            _ => self.open(owner, bytes),
        }
    }

    fn open(&mut self, owner: &Owner, bytes: Bytes) {
        let former = self.former.remove(owner).unwrap_or_default();
        let mut total = former;
        total += bytes;
        self.rows.insert(owner.clone(), Row { total, former, reported: former, cut: former, is_gone: false });
    }

    /// The current state.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            health: Health {
                overflow_bytes: self.capture_health.overflow_bytes + self.overflow_bytes,
                coarse_bytes: self.capture_health.coarse_bytes + self.coarse_bytes,
                ..self.capture_health
            },
            total: self.gone,
            ..Snapshot::default()
        };
        for (owner, bytes) in &self.former {
            snapshot.count(owner, *bytes);
        }
        for (owner, row) in &self.rows {
            let moved = row.total - row.reported;
            snapshot.count(owner, row.total);
            snapshot.moved += moved;
            let of_life = row.total - row.former;
            snapshot.accounts.push(Account { owner: owner.clone(), total: row.total, moved, of_life });
        }
        snapshot
    }

    /// What each account moved since the last [cut](Self::cut); does not cut.
    pub fn uncut(&self) -> impl Iterator<Item = (&Owner, Bytes)> {
        let moved = self.rows.iter().map(|(owner, row)| (owner, row.total - row.cut));
        moved.filter(|(_, bytes)| !bytes.is_zero())
    }

    /// What each account moved since the last cut, and cuts.
    pub fn cut(&mut self) -> Vec<(Owner, Bytes)> {
        let mut moved = Vec::new();
        for (owner, row) in &mut self.rows {
            let bytes = row.total - row.cut;
            if !bytes.is_zero() {
                row.cut = row.total;
                moved.push((owner.clone(), bytes));
            }
        }
        moved
    }

    /// To be called when everything was reported: the next report has what comes later. Removes owners that are gone
    /// and cut; their bytes stay in the sum.
    pub fn mark_reported(&mut self) {
        for row in self.rows.values_mut() {
            row.reported = row.total;
        }
        let gone = self.rows.extract_if(.., |_, row| row.is_gone && row.cut == row.total);
        gone.for_each(|(_, row)| self.gone += row.total);
    }
}

#[cfg(test)]
mod tests;
