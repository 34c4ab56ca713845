//! What is searched for beyond a connection's user, and the owners that were found. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use super::finding::Outcome;
use super::flow::Holder;
use crate::capture::{By, Bytes, Owner, Wanted};

/// Pause between two looks for owners that are gone.
const GONE_PAUSE_MS: u64 = 10_000;

/// Most owners finer than a user (6 MB); further ones are reported as the user. As many as the ledger has room for.
const MAX_OWNERS: usize = 32_768;

/// What is searched for, and the owners found.
#[derive(Debug, Default)]
pub struct Searches {
    by: By,
    /// The wanted users, if not all are wanted.
    users: Option<Vec<u32>>,
    /// Whether the process decides what is wanted.
    chooses_processes: bool,
    /// Each is shared by an owner's connections. Without any, it is kept until the owner is gone.
    owners: HashMap<Owner, Arc<Owner>>,
    next_look_ms: u64,
}

impl Searches {
    /// For accounts that are told apart by `by`, of owners that are `wanted`.
    #[must_use]
    pub fn new(by: By, wanted: &Wanted) -> Self {
        let chooses_processes = wanted.chooses_processes();
        let users = wanted.chooses_users().then(|| wanted.users.clone());
        Self { by, users, chooses_processes, ..Self::default() }
    }

    /// Whether more than the user has to be known.
    #[must_use]
    pub fn are_needed(&self) -> bool {
        self.by != By::USER || self.chooses_processes
    }

    /// Who holds a connection of the user `uid` before the search; `waiting` bytes have waited for the user.
    #[must_use]
    pub fn begin(&self, uid: u32, waiting: Bytes) -> Holder {
        if !self.wants(uid) {
            Holder::Unwanted
        } else if self.are_needed() {
            Holder::Searching(uid, waiting)
        } else {
            Holder::User(uid)
        }
    }

    /// Who holds a connection of the user `uid`, after the search.
    pub fn end(&mut self, uid: u32, outcome: &Outcome) -> Holder {
        match outcome {
            Outcome::Owner(owner) if owner.is_fine() => self.fine(uid, owner),
            Outcome::Owner(_) => Holder::User(uid),
            Outcome::Unwanted => Holder::Unwanted,
            Outcome::Nothing => self.without(uid),
        }
    }

    fn fine(&mut self, uid: u32, owner: &Owner) -> Holder {
        if let Some(shared) = self.owners.get(owner) {
            return Holder::Fine(Arc::clone(shared));
        }
        if self.owners.len() >= MAX_OWNERS {
            return Holder::User(uid);
        }
        let shared = Arc::new(owner.clone());
        self.owners.insert(owner.clone(), Arc::clone(&shared));
        Holder::Fine(shared)
    }

    /// Who holds a connection of the user `uid` if no more will be known.
    #[must_use]
    pub fn without(&self, uid: u32) -> Holder {
        match (self.wants(uid), self.chooses_processes) {
            (false, _) => Holder::Unwanted,
            (true, false) => Holder::User(uid),
            (true, true) => Holder::Undecided(Bytes::default()),
        }
    }

    fn wants(&self, uid: u32) -> bool {
        self.users.as_ref().is_none_or(|users| users.contains(&uid))
    }

    /// Wants these, too, if not all are wanted.
    pub fn want(&mut self, more: &[u32]) {
        if let Some(users) = &mut self.users {
            users.extend_from_slice(more);
        }
    }

    /// Removes owners without connections that are gone; looks only once in a while.
    pub fn take_gone(&mut self, now_ms: u64, mut is_gone: impl FnMut(&Owner) -> bool) -> Vec<Owner> {
        if now_ms < self.next_look_ms {
            return Vec::new();
        }
        self.next_look_ms = now_ms + GONE_PAUSE_MS;
        let gone = self.owners.extract_if(|owner, shared| Arc::strong_count(shared) == 1 && is_gone(owner));
        gone.map(|(owner, _)| owner).collect()
    }

    /// The bytes among `credits` with no more than their user, although more was asked for.
    #[must_use]
    pub fn coarse(&self, credits: &[(Owner, Bytes)]) -> u64 {
        let is_coarse = |owner: &Owner| self.by != By::USER && owner.uid().is_some() && !owner.is_fine();
        credits.iter().filter(|(owner, _)| is_coarse(owner)).map(|(_, bytes)| bytes.sent + bytes.received).sum()
    }
}

#[cfg(test)]
#[path = "searches_tests.rs"]
mod tests;
