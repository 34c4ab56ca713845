//! What the book is told of a report. Pure.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::book::{AccountKey, AccountKind, Commit, Gap, Moved};
use crate::capture::{Bytes, Health, Owner};
use crate::report::{Names, Period, Source};

/// What `moved` in `period`, which is the last one of the service if it `ended`.
pub(super) fn commit(
    moved: &[(Owner, Bytes)],
    health: &Health,
    period: &Period,
    source: &Source,
    gaps: Vec<Gap>,
    ended: bool,
    names: &mut impl Names,
) -> Commit {
    let moved = moved.iter().map(|(owner, bytes)| Moved { account: key(owner, source, names), bytes: *bytes });
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

fn key(owner: &Owner, source: &Source, names: &mut impl Names) -> AccountKey {
    let (kind, name): (_, Option<Arc<str>>) = match owner {
        Owner::User(_) | Owner::Cgroup(..) => (AccountKind::User, None),
        Owner::Process(_, process) => {
            let started = source.booted + Duration::from_nanos(process.started_ns);
            (AccountKind::Process, Some(format!("{}[{}] {}", process.program, process.pid, rfc3339(started)).into()))
        }
        Owner::Program(_, name) => (AccountKind::Program, Some(Arc::clone(name))),
        Owner::Unit(_, name) => (AccountKind::Unit, Some(Arc::clone(name))),
        Owner::Unattributed => (AccountKind::Unattributed, None),
        Owner::Other => (AccountKind::Other, None),
    };
    AccountKey { kind, uid: owner.uid(), user: owner.uid().map(|uid| names.user(uid)), name }
}

fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "?".to_owned(), |time| format!("{time:.3}"))
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
