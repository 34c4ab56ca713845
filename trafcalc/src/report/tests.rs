use super::*;
use crate::capture::{Batch, Bytes, Health};
use crate::ledger::Ledger;

fn source() -> Source {
    Source { since: samples::start(), backend: "ebpf", attach: Some("fentry"), declined: Vec::new() }
}

fn report(ledger: &Ledger, scope: Scope) -> Report {
    let period = Period { end: samples::start(), length: Duration::from_millis(1_500) };
    Report::new(&ledger.snapshot(), scope, period, &source(), 3, |uid| format!("user{uid}"))
}

#[test]
fn only_accounts_that_moved_are_told_about_until_all_are_asked_for() {
    let mut ledger = Ledger::default();
    let bytes = Bytes { sent: 1, received: 0 };
    ledger.apply(&Batch { credits: vec![(Owner::User(1), bytes)], health: Health::default() });
    ledger.mark_reported(&ledger.snapshot());
    ledger.apply(&Batch { credits: vec![(Owner::User(2), bytes)], health: Health::default() });

    let uids = |report: &Report| report.accounts.iter().map(|account| account.uid).collect::<Vec<_>>();
    assert_eq!(uids(&report(&ledger, Scope::Moved)), [Some(2)]);
    assert_eq!(uids(&report(&ledger, Scope::All)), [Some(1), Some(2)]);
    assert_eq!(report(&ledger, Scope::Moved).summary.accounts, 2);
}

#[test]
fn health_reaches_the_summary_number_by_number() {
    let mut ledger = Ledger::default();
    let health = Health {
        lost_events: 1,
        gaps: 2,
        overflow_bytes: 3,
        pending_bytes: 4,
        listener_bytes: 5,
        malformed_packets: 6,
        delayed_lookups: 7,
        late_connections: 10,
        unfollowed_connections: 11,
    };
    ledger.apply(&Batch { credits: vec![(Owner::Unattributed, Bytes { sent: 8, received: 9 })], health });
    let summary = report(&ledger, Scope::Moved).summary;
    assert_eq!(
        [
            summary.lost_events_total,
            summary.gaps,
            summary.overflow_bytes_total,
            summary.pending_bytes,
            summary.listener_bytes_total,
            summary.malformed_packets_total,
            summary.delayed_lookups_total,
            summary.unattributed_bytes_total,
            summary.log_errors_total,
            summary.late_connections_total,
            summary.unfollowed_connections_total,
        ],
        [1, 2, 3, 4, 5, 6, 7, 17, 3, 10, 11]
    );
    assert_eq!(summary.interval_s.to_string(), "1.5");
    assert_eq!(summary.attach, Some("fentry"));
}
