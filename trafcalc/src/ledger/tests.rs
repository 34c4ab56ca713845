use super::*;
use crate::capture::{Process, Unit};

/// What a report tells.
fn report(ledger: &mut Ledger) -> Snapshot {
    let snapshot = ledger.snapshot();
    ledger.cut();
    ledger.mark_reported();
    snapshot
}

fn batch(credits: &[(Owner, u64, u64)]) -> Batch {
    let credits =
        credits.iter().map(|(owner, sent, received)| (owner.clone(), Bytes { sent: *sent, received: *received }));
    Batch { credits: credits.collect(), ..Batch::default() }
}

#[test]
fn a_report_tells_what_came_after_the_last_one_and_a_look_moves_nothing() {
    let mut ledger = Ledger::default();
    ledger.apply(&batch(&[(Owner::user(1000), 10, 1)]));
    assert_eq!(report(&mut ledger).moved, Bytes { sent: 10, received: 1 });
    ledger.apply(&batch(&[(Owner::user(1000), 5, 0)]));
    let _look = ledger.snapshot();
    ledger.apply(&batch(&[(Owner::user(1000), 7, 0), (Owner::UNATTRIBUTED, 1, 1)]));

    let snapshot = report(&mut ledger);
    assert_eq!(snapshot.accounts[0].moved, Bytes { sent: 12, received: 0 });
    assert_eq!(snapshot.accounts[0].total, Bytes { sent: 22, received: 1 });
    assert_eq!(snapshot.total, Bytes { sent: 23, received: 2 });
    assert_eq!(snapshot.moved, Bytes { sent: 13, received: 1 });
    assert_eq!(report(&mut ledger).moved, Bytes::default());
}

#[test]
fn owners_beyond_the_limit_are_counted_as_other() {
    let mut ledger = Ledger::default();
    let users = u32::try_from(MAX_ACCOUNTS).unwrap() + 5;
    for uid in 0..users {
        ledger.apply(&batch(&[(Owner::user(uid), 1, 2)]));
    }
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.total, Bytes { sent: u64::from(users), received: 2 * u64::from(users) });
    assert_eq!(snapshot.health.overflow_bytes, 15);
    assert_eq!(snapshot.accounts.last().unwrap().owner, Owner::OTHER);
    assert_eq!(snapshot.accounts.len(), MAX_ACCOUNTS + 1);
}

fn process(pid: u32) -> Owner {
    Owner { process: Some(Process { pid, started_ns: 7 }), program: Some("curl".into()), ..Owner::user(1000) }
}

#[test]
fn an_owner_that_is_gone_leaves_when_all_of_it_was_reported() {
    let mut ledger = Ledger::default();
    ledger.apply(&batch(&[(process(1), 10, 1), (process(2), 5, 0)]));
    report(&mut ledger);
    ledger.apply(&Batch { gone: vec![process(1)], ..batch(&[(process(1), 2, 0)]) });
    assert_eq!(report(&mut ledger).accounts[0].moved, Bytes { sent: 2, received: 0 });

    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.accounts.iter().map(|account| &account.owner).collect::<Vec<_>>(), [&process(2)]);
    assert_eq!(snapshot.total, Bytes { sent: 17, received: 1 });
    assert_eq!(snapshot.moved, Bytes::default());
}

#[test]
fn processes_beyond_the_limit_are_counted_for_their_users() {
    let mut ledger = Ledger::default();
    let processes = u32::try_from(MAX_FINE_ACCOUNTS).unwrap() + 5;
    for pid in 0..processes {
        ledger.apply(&batch(&[(process(pid), 1, 2)]));
    }
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.total, Bytes { sent: u64::from(processes), received: 2 * u64::from(processes) });
    assert_eq!(snapshot.health.coarse_bytes, 15);
    assert_eq!(snapshot.accounts[0].owner, Owner::user(1000));
    assert_eq!(snapshot.accounts[0].total, Bytes { sent: 5, received: 10 });
}

#[test]
fn accounts_that_differ_in_one_thing_are_apart() {
    let unit = |name: &str| Some(Unit::Named(name.into()));
    let (one, other) = (Owner { unit: unit("a"), ..process(1) }, Owner { unit: unit("b"), ..process(1) });
    let program = Owner { process: None, ..one.clone() };
    let owners = [Owner::user(1000), program, process(1), one, other];
    let mut ledger = Ledger::default();
    for (owner, sent) in owners.iter().zip(1..).chain(owners.iter().zip(10..)) {
        ledger.apply(&batch(&[(owner.clone(), sent, 0)]));
    }
    let accounts = ledger.snapshot().accounts;
    assert_eq!(accounts.iter().map(|account| &account.owner).collect::<Vec<_>>(), owners.iter().collect::<Vec<_>>());
    assert_eq!(accounts.iter().map(|account| account.total.sent).collect::<Vec<_>>(), [11, 13, 15, 17, 19]);
}

#[test]
fn totals_go_on_from_former_lives_and_only_what_is_new_has_moved() {
    let bytes = |sent, received| Bytes { sent, received };
    let former = [(Owner::user(1), bytes(10, 20)), (Owner::user(2), bytes(1, 2)), (Owner::user(2), bytes(1, 2))];
    let unattributed = Ledger::going_on_from([(Owner::UNATTRIBUTED, bytes(3, 4))], Bytes::default()).snapshot();
    assert_eq!((unattributed.unattributed, unattributed.total), (bytes(3, 4), bytes(3, 4)));
    let mut ledger = Ledger::going_on_from(former, bytes(100, 100));
    assert_eq!(ledger.snapshot().total, bytes(112, 124));
    ledger.apply(&batch(&[(Owner::user(2), 5, 0), (Owner::user(3), 1, 1)]));
    let snapshot = report(&mut ledger);
    let told: Vec<_> =
        snapshot.accounts.iter().map(|account| (account.owner.uid(), account.moved, account.total)).collect();
    assert_eq!(told, [(Some(2), bytes(5, 0), bytes(7, 4)), (Some(3), bytes(1, 1), bytes(1, 1))]);
    assert_eq!((snapshot.total, snapshot.moved), (bytes(118, 125), bytes(6, 1)));
}

#[test]
fn what_is_cut_is_neither_told_less_nor_cut_again() {
    let bytes = |sent, received| Bytes { sent, received };
    let mut ledger = Ledger::default();
    ledger.apply(&batch(&[(Owner::user(1), 10, 0), (Owner::user(2), 1, 0)]));
    assert_eq!(ledger.cut(), [(Owner::user(1), bytes(10, 0)), (Owner::user(2), bytes(1, 0))]);
    ledger.apply(&batch(&[(Owner::user(1), 5, 5)]));
    assert_eq!(ledger.snapshot().moved, bytes(16, 5));
    assert_eq!(ledger.cut(), [(Owner::user(1), bytes(5, 5))]);
    assert_eq!(ledger.cut(), []);
}

#[test]
fn what_was_counted_in_this_life_is_told_apart_from_what_came_before() {
    let bytes = |sent| Bytes { sent, received: 0 };
    let mut ledger = Ledger::going_on_from([(Owner::user(1), bytes(100))], Bytes::default());
    ledger.apply(&Batch { credits: vec![(Owner::user(1), bytes(5)), (Owner::user(2), bytes(7))], ..Batch::default() });
    ledger.mark_reported();
    ledger.apply(&Batch { credits: vec![(Owner::user(1), bytes(1))], ..Batch::default() });
    let told: Vec<_> =
        ledger.snapshot().accounts.iter().map(|it| (it.total.sent, it.moved.sent, it.of_life.sent)).collect();
    assert_eq!(told, [(106, 1, 6), (7, 0, 7)]);
}

#[test]
fn what_is_not_cut_yet_is_told_and_stays() {
    let bytes = |sent| Bytes { sent, received: 0 };
    let mut ledger = Ledger::default();
    ledger.apply(&Batch { credits: vec![(Owner::user(1), bytes(5))], ..Batch::default() });
    assert_eq!(ledger.uncut().collect::<Vec<_>>(), [(&Owner::user(1), bytes(5))]);
    assert_eq!(ledger.cut(), [(Owner::user(1), bytes(5))]);
    assert_eq!(ledger.uncut().count(), 0);
}
