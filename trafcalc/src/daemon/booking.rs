//! What the book is told of a report. Pure.

use std::sync::Arc;

use crate::book::{AccountKey, AccountKind, Commit, Gap, Moved};
use crate::capture::{Bytes, Health, Owner, Unit, User};
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
        open: Vec::new(),
        ended,
    }
}

/// The account in the book. Of processes there is no end, so the book keeps their programs; the log tells them apart.
fn key(owner: &Owner, names: &mut impl Names) -> AccountKey {
    let kind = match owner.user {
        User::Uid(_) => AccountKind::User,
        User::Unattributed => AccountKind::Unattributed,
        User::Other => AccountKind::Other,
    };
    let user = owner.uid().and_then(|uid| match names.user(uid) {
        UserName::Known(name) => Some(name),
        // Whoever is given this number later must not inherit what is booked now.
        UserName::NoSuchUser => Some(uid.to_string()),
        UserName::NotKnownYet => None,
    });
    let unit = match &owner.unit {
        Some(Unit::Named(name)) => Some(Arc::clone(name)),
        Some(Unit::Cgroup(_)) | None => None,
    };
    AccountKey { kind, uid: owner.uid(), user, program: owner.program.clone(), unit }
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

fn owner(AccountKey { kind, uid, program, unit, .. }: AccountKey) -> Option<Owner> {
    match (kind, uid) {
        (AccountKind::User, Some(uid)) => Some(Owner { program, unit: unit.map(Unit::Named), ..Owner::user(uid) }),
        (AccountKind::User, None) => None,
        (AccountKind::Unattributed, _) => Some(Owner::UNATTRIBUTED),
        (AccountKind::Other, _) => Some(Owner::OTHER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Process;
    use crate::report::samples::Told;

    #[test]
    fn the_book_finds_every_owner_again_but_for_processes() {
        let user = Owner::user(7);
        let program = Owner { program: Some("curl".into()), ..user.clone() };
        let unit = Owner { unit: Some(Unit::Named("curl".into())), ..user.clone() };
        let both = Owner { program: program.program.clone(), ..unit.clone() };
        let process = Owner { process: Some(Process { pid: 1, started_ns: 1 }), ..both.clone() };
        for owner in [Owner::UNATTRIBUTED, Owner::OTHER, user, program, unit, both.clone()] {
            assert_eq!(owners(vec![(key(&owner, &mut Told), Bytes::default())]).0, [(owner, Bytes::default())]);
        }
        assert_eq!(key(&process, &mut Told), key(&both, &mut Told));
    }
}
