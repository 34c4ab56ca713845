//! The accounts: the only place where totals exist. Pure: no I/O, no clock, no names of users.

use std::collections::BTreeMap;

use crate::capture::{Batch, Bytes, Health, Owner};

/// Most accounts kept; the bytes of further owners go to [`Owner::OTHER`]. A row takes some 150 bytes, so all of them
/// take 10 MB; a host with more users that all talk TCP has not been met.
pub const MAX_ACCOUNTS: usize = 65_536;

/// Most accounts that are finer than a user's; the bytes of further ones go to their users.
pub const MAX_FINE_ACCOUNTS: usize = MAX_ACCOUNTS / 2;

/// One row: an owner's totals, and what of them has not been reported yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whose bytes.
    pub owner: Owner,
    /// All bytes since the start.
    pub total: Bytes,
    /// Those since the last [report](Ledger::mark_reported).
    pub moved: Bytes,
    /// Those that were counted by this ledger: all but those of former lives.
    pub of_life: Bytes,
}

/// The state of the ledger at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// All accounts, user by user in ascending order, those of no user last.
    pub accounts: Vec<Account>,
    /// The sum of all accounts since the start, of those that are gone, too.
    pub total: Bytes,
    /// The sum of all accounts since the last report.
    pub moved: Bytes,
    /// Of that, what could not be attributed to anybody.
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

/// All accounts.
#[derive(Default)]
pub struct Ledger {
    rows: BTreeMap<Owner, Row>,
    capture_health: Health,
    overflow_bytes: u64,
    coarse_bytes: u64,
    /// The totals of owners that are gone and were told about.
    gone: Bytes,
    /// What owners without a row moved in former lives.
    former: BTreeMap<Owner, Bytes>,
}

impl Ledger {
    /// A ledger whose totals go on from those of former lives; `others` are of owners that never come again.
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

    /// All accounts as they are now.
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

    /// What each account moved since the last [cut](Self::cut), which stays as it is.
    pub fn uncut(&self) -> impl Iterator<Item = (&Owner, Bytes)> {
        let moved = self.rows.iter().map(|(owner, row)| (owner, row.total - row.cut));
        moved.filter(|(_, bytes)| !bytes.is_zero())
    }

    /// What each account moved since the last cut.
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

    /// A report was made of all there is: the next one tells what came after it. Owners that are gone leave the ledger with it, if
    /// they are cut; their bytes stay in the sum.
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
