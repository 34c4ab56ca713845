//! What the book is told of a report. Pure.

use std::sync::Arc;

use crate::book::{AccountKey, AccountKind, Commit, Gap, Moved};
use crate::capture::{Bytes, Health, Owner};
use crate::report::{Names, Period, UserName};

/// What `moved` in `period`, which is the last one of the service if it `ended`.
pub(super) fn commit(
    moved: &[(Owner, Bytes)],
    health: &Health,
    period: &Period,
    gaps: Vec<Gap>,
    ended: bool,
    names: &mut impl Names,
) -> Commit {
    let moved = moved.iter().map(|(owner, bytes)| Moved { account: key(owner, names), bytes: *bytes });
    Commit {
        seq: period.seq,
        start: period.end.checked_sub(period.length).unwrap_or(period.end),
        end: period.end,
        monotonic: period.length,
        moved: moved.collect(),
        baseline: None,
        health: serde_json::to_string(health).expect("plain data can be written"),
        records: None,
        gaps,
        ended,
    }
}

fn key(owner: &Owner, names: &mut impl Names) -> AccountKey {
    let (kind, name): (_, Option<Arc<str>>) = match owner {
        Owner::User(_) | Owner::Cgroup(..) => (AccountKind::User, None),
        // Of processes there is no end, so the book keeps their programs; the log tells them apart.
        Owner::Process(_, process) => (AccountKind::Program, Some(Arc::clone(&process.program))),
        Owner::Program(_, name) => (AccountKind::Program, Some(Arc::clone(name))),
        Owner::Unit(_, name) => (AccountKind::Unit, Some(Arc::clone(name))),
        Owner::Unattributed => (AccountKind::Unattributed, None),
        Owner::Other => (AccountKind::Other, None),
    };
    let user = owner.uid().and_then(|uid| match names.user(uid) {
        UserName::Known(name) => Some(name),
        // Whoever is given this number later must not inherit what is booked now.
        UserName::NoSuchUser => Some(uid.to_string()),
        UserName::NotKnownYet => None,
    });
    AccountKey { kind, uid: owner.uid(), user, name }
}

/// Whose the totals of a book are; what belongs to owners that never come again is summed up.
pub(super) fn owners(totals: Vec<(AccountKey, Bytes)>) -> (Vec<(Owner, Bytes)>, Bytes) {
    let mut others = Bytes::default();
    let mut known = Vec::with_capacity(totals.len());
    for (key, bytes) in totals {
        match owner(key) {
            Some(owner) => known.push((owner, bytes)),
            None => others += bytes,
        }
    }
    (known, others)
}

fn owner(AccountKey { kind, uid, name, .. }: AccountKey) -> Option<Owner> {
    match (kind, uid, name) {
        (AccountKind::User, Some(uid), _) => Some(Owner::User(uid)),
        (AccountKind::Program, Some(uid), Some(name)) => Some(Owner::Program(uid, name)),
        (AccountKind::Unit, Some(uid), Some(name)) => Some(Owner::Unit(uid, name)),
        (AccountKind::Unattributed, ..) => Some(Owner::Unattributed),
        (AccountKind::Other, ..) => Some(Owner::Other),
        _ => None,
    }
}
