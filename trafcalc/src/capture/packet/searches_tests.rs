use super::super::finding::{Finding, Found, Question, Standing};
use super::super::flows::{Flows, Sighting};
use super::super::segment::Segment;
use super::super::testing::segment;
use super::*;
use crate::capture::Process;

const UID: u32 = 1000;

/// A connection of the user `UID`, whose SYN and 300 bytes were seen, while more is searched for.
fn searching() -> (Flows, Question) {
    let mut flows = Flows::new(8, by_process());
    let syn = Segment { syn: true, ack: None, ..segment(100, 0, 0) };
    for (time_ns, segment) in [(1, syn), (2, segment(101, 501, 300))] {
        flows.observe(&Sighting { segment, time_ns, interface: 2 }, 0);
    }
    let question = Question { endpoints: syn.endpoints, birth: 100, interface: 2 };
    flows.learn(&Finding { question, standing: Standing::Owned(UID), inode: 70, listener: None, forwards: false }, 0);
    (flows, question)
}

fn by_process() -> Searches {
    Searches::new(By::PROCESS, &Wanted::default())
}

fn process(pid: u32) -> Owner {
    Owner { process: Some(Process { pid, started_ns: 5 }), program: Some("curl".into()), ..Owner::user(UID) }
}

fn sent(bytes: u64) -> Bytes {
    Bytes { sent: bytes, received: 0 }
}

#[test]
fn bytes_wait_for_the_search_and_go_to_the_process_it_finds() {
    let (mut flows, question) = searching();
    flows.sweep(0);
    assert_eq!((flows.take_credits(), flows.health().pending_bytes), (vec![], 300));
    assert!(flows.is_searching());
    flows.learn_more(&Found { question, outcome: Outcome::Owner(process(7)) });
    flows.observe(&Sighting { segment: segment(401, 501, 50), time_ns: 3, interface: 2 }, 0);
    assert_eq!(flows.take_credits(), [(process(7), sent(350))]);
    assert!(!flows.is_searching());
    assert_eq!(flows.health().coarse_bytes, 0);
}

#[test]
fn what_no_process_was_found_for_is_the_users_and_health_says_so() {
    let (mut flows, question) = searching();
    flows.learn_more(&Found { question, outcome: Outcome::Nothing });
    assert_eq!(flows.take_credits(), [(Owner::user(UID), sent(300))]);
    assert_eq!(flows.health().coarse_bytes, 300);
}

#[test]
fn a_search_that_is_not_answered_to_the_end_loses_nothing() {
    let (mut flows, _) = searching();
    flows.conclude();
    assert_eq!(flows.take_credits(), [(Owner::user(UID), sent(300))]);
}

#[test]
fn an_answer_about_an_earlier_connection_is_not_taken() {
    let (mut flows, question) = searching();
    flows.learn_more(&Found { question: Question { birth: 99, ..question }, outcome: Outcome::Owner(process(7)) });
    assert!(flows.is_searching());
}

#[test]
fn an_owner_leaves_when_it_is_gone_and_its_last_connection_is_forgotten() {
    let mut searches = by_process();
    let holders = [7, 7, 8].map(|pid| searches.end(UID, &Outcome::Owner(process(pid))));
    assert_eq!(holders[0], holders[1]);
    let [first, second, other] = holders;
    drop(other);
    assert_eq!(searches.take_gone(0, |_| false), []);
    assert_eq!(searches.take_gone(1, |_| true), [], "they are looked at once in a while only");
    assert_eq!(searches.take_gone(GONE_PAUSE_MS, |_| true), [process(8)]);
    drop((first, second));
    assert_eq!(searches.take_gone(2 * GONE_PAUSE_MS, |_| true), [process(7)]);
    assert_eq!(searches.take_gone(3 * GONE_PAUSE_MS, |_| true), []);
}

#[test]
fn of_a_user_who_is_not_wanted_nothing_is_searched_or_counted() {
    let users = Wanted { users: vec![UID], ..Wanted::default() };
    let searches = Searches::new(By::PROCESS, &users);
    assert_eq!(searches.begin(UID, sent(7)), Holder::Searching(UID, sent(7)));
    assert_eq!(searches.begin(UID + 1, sent(7)), Holder::Unwanted);
    assert_eq!(searches.without(UID), Holder::User(UID));
    assert_eq!(searches.without(UID + 1), Holder::Unwanted);
    assert!(!Searches::new(By::USER, &users).are_needed());
}

#[test]
fn where_processes_are_chosen_a_connection_without_one_is_not_decided() {
    let mut searches = Searches::new(By::USER, &Wanted { programs: vec!["curl".into()], ..Wanted::default() });
    assert!(searches.are_needed());
    assert_eq!(searches.begin(UID, sent(7)), Holder::Searching(UID, sent(7)));
    assert_eq!(searches.end(UID, &Outcome::Nothing), Holder::Undecided(Bytes::default()));
    assert_eq!(searches.end(UID, &Outcome::Unwanted), Holder::Unwanted);
    assert_eq!(searches.end(UID, &Outcome::Owner(Owner::user(UID))), Holder::User(UID));
}

#[test]
fn while_users_are_to_come_nobody_else_is_counted() {
    let mut searches = Searches::new(By::USER, &Wanted { users_to_come: 1, ..Wanted::default() });
    assert_eq!(searches.begin(UID, sent(7)), Holder::Unwanted);
    searches.want(&[UID]);
    assert_eq!(searches.begin(UID, sent(7)), Holder::User(UID));
    assert_eq!(searches.begin(UID + 1, sent(7)), Holder::Unwanted);
    let mut all = Searches::default();
    all.want(&[UID]);
    assert_eq!(all.begin(UID + 1, sent(7)), Holder::User(UID + 1));
}
