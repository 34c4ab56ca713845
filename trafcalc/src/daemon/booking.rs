//! Converts a report to what the book stores. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::book::{AccountKey, AccountKind, Commit, Gap, Moved};
use crate::capture::{Bytes, Health, OpenNotes, Owner, Unit, User};
use crate::report::{Names, Period, UserName};

/// The commit of what `moved` in `period`. If the service `ended`, it is the last one.
pub(super) fn commit(
    moved: &[(Owner, Bytes)],
    health: &Health,
    period: &Period,
    gaps: Vec<Gap>,
    ended: bool,
    (names, unnamed): (&mut impl Names, &mut Unnamed),
) -> Commit {
    let mut moved: Vec<_> =
        moved.iter().map(|(owner, bytes)| Moved { account: key(owner, names), bytes: *bytes }).collect();
    unnamed.add_named(&mut moved, names);
    Commit {
        seq: period.seq,
        start: period.end.checked_sub(period.length).unwrap_or(period.end),
        end: period.end,
        monotonic: period.length,
        moved,
        baseline: None,
        health: serde_json::to_string(health).expect("plain data can be written"),
        records: None,
        gaps,
        open: OpenNotes::default(),
        ended,
    }
}

/// The users that were booked before their names were known. The book gets a name as soon as it is known, whether or not anything moves
/// then.
#[derive(Default)]
pub(super) struct Unnamed(BTreeSet<u32>);

/// The limit of remembered users. The book gets the name of a further user when that user moves something again.
const MAX_UNNAMED: usize = 65_536;

impl Unnamed {
    /// Adds the accounts of users whose names are known by now to `moved`, and remembers the users in `moved` that have no name yet.
    pub(super) fn add_named(&mut self, moved: &mut Vec<Moved>, names: &mut impl Names) {
        let account = |uid: &u32| key(&Owner::user(*uid), names);
        let known = self.0.iter().map(account).filter(|account| account.user.is_some()).collect::<Vec<_>>();
        for account in known {
            self.0.retain(|uid| Some(*uid) != account.uid);
            moved.push(Moved { account, bytes: Bytes::default() });
        }
        let unnamed = moved.iter().filter(|moved| moved.account.user.is_none()).filter_map(|moved| moved.account.uid);
        let room = MAX_UNNAMED.saturating_sub(self.0.len());
        self.0.extend(unnamed.take(room));
    }
}

/// The key of an owner's account in the book. Processes are endless, so the book stores only their programs; the log tells processes
/// apart.
fn key(owner: &Owner, names: &mut impl Names) -> AccountKey {
    let kind = match owner.user {
        User::Uid(_) => AccountKind::User,
        User::Unattributed => AccountKind::Unattributed,
        User::Other => AccountKind::Other,
    };
    let user = owner.uid().and_then(|uid| match names.user(uid) {
        UserName::Known(name) => Some(name),
        // A user who gets this uid later must not inherit what is booked now.
        UserName::NoSuchUser => Some(uid.to_string()),
        UserName::NotKnownYet => None,
    });
    let unit = match &owner.unit {
        Some(Unit::Named(name)) => Some(Arc::clone(name)),
        Some(Unit::Cgroup(_)) | None => None,
    };
    AccountKey { kind, uid: owner.uid(), user, program: owner.program.clone(), unit, class: owner.class.clone() }
}

/// The owners of the totals in a book. Totals of owners that cannot occur again are summed up.
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

fn owner(AccountKey { kind, uid, program, unit, class, .. }: AccountKey) -> Option<Owner> {
    match (kind, uid) {
        (AccountKind::User, Some(uid)) => {
            Some(Owner { program, unit: unit.map(Unit::Named), class, ..Owner::user(uid) })
        }
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

    /// A directory that has not answered yet.
    struct Silent;

    impl Names for Silent {
        fn user(&mut self, _: u32) -> UserName {
            UserName::NotKnownYet
        }

        fn exe(&mut self, _: Process, _: &str) -> Option<String> {
            None
        }
    }

    #[test]
    fn a_name_that_comes_later_is_booked_once_though_nothing_moves_then() {
        let mut unnamed = Unnamed::default();
        let one = |account: &AccountKey, sent| Moved { account: account.clone(), bytes: Bytes { sent, received: 0 } };
        let nameless = key(&Owner::user(7), &mut Silent);
        let mut first = vec![one(&nameless, 5)];
        unnamed.add_named(&mut first, &mut Silent);
        assert_eq!(first, [one(&nameless, 5)]);
        let mut next = Vec::new();
        unnamed.add_named(&mut next, &mut Silent);
        assert!(next.is_empty());
        unnamed.add_named(&mut next, &mut Told);
        assert_eq!(next, [one(&key(&Owner::user(7), &mut Told), 0)]);
        next.clear();
        unnamed.add_named(&mut next, &mut Told);
        assert!(next.is_empty());
    }
}
