use super::*;
use crate::capture::{Batch, Bytes, Health};
use crate::ledger::Ledger;

fn report(ledger: &Ledger, scope: Scope) -> Report {
    let period = Period { end: samples::start(), length: Duration::from_millis(1_500) };
    Report::new(&ledger.snapshot(), scope, period, &samples::source(), 3, &mut samples::Told)
}

#[test]
fn only_accounts_that_moved_are_told_about_until_all_are_asked_for() {
    let mut ledger = Ledger::default();
    let bytes = Bytes { sent: 1, received: 0 };
    ledger.apply(&Batch { credits: vec![(Owner::User(1), bytes)], ..Batch::default() });
    ledger.mark_reported(&ledger.snapshot());
    ledger.apply(&Batch { credits: vec![(Owner::User(2), bytes)], ..Batch::default() });

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
        coarse_bytes: 12,
        audited: 13,
        audit_mismatches: 14,
    };
    let credits = vec![(Owner::Unattributed, Bytes { sent: 8, received: 9 })];
    ledger.apply(&Batch { credits, health, ..Batch::default() });
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
            summary.coarse_bytes_total,
            summary.audited_total,
            summary.audit_mismatch_total,
        ],
        [1, 2, 3, 4, 5, 6, 7, 17, 3, 10, 11, 12, 13, 14]
    );
    assert_eq!(summary.interval_s.to_string(), "1.5");
    assert_eq!((summary.attach, summary.method), (Some("fentry"), Some("sweep")));
}

#[test]
fn a_record_tells_the_process_where_that_was_asked_for() {
    let mut ledger = Ledger::default();
    let process = Process { pid: 7, started_ns: 1_250_000_000, program: "nginx".into() };
    let bytes = Bytes { sent: 1, received: 0 };
    let credits = vec![(Owner::Process(33, process), bytes), (Owner::User(33), bytes), (Owner::Other, bytes)];
    ledger.apply(&Batch { credits, ..Batch::default() });
    let period = Period { end: samples::start(), length: Duration::from_secs(1) };
    let source = Source { by: By::Process, ..samples::source() };
    let report = Report::new(&ledger.snapshot(), Scope::All, period, &source, 0, &mut samples::Told);
    let records: Vec<_> = report.accounts.iter().map(|account| serde_json::to_string(account).unwrap()).collect();
    assert!(records[0].contains(r#""user":"alice","pid":null,"start_time":null,"program":null,"exe":null,"sent"#));
    let told = r#""pid":7,"start_time":"2026-11-23T02:00:01.250Z","program":"nginx","exe":"/usr/bin/nginx","sent"#;
    assert!(records[1].contains(told), "{}", records[1]);
    assert!(records[2].contains(r#""uid":null,"user":null,"account":"(other)","pid":null"#), "{}", records[2]);
}

#[test]
fn a_user_is_told_by_number_where_there_is_no_name_yet_or_at_all() {
    assert_eq!(UserName::Known("alice".to_owned()).or_number(7), "alice");
    assert_eq!(UserName::NoSuchUser.or_number(7), "7");
    assert_eq!(UserName::NotKnownYet.or_number(7), "7");
}

#[test]
fn what_is_waited_for_is_in_the_summary_only_while_it_is() {
    let summary = |waiting_for: &[&str]| {
        let waiting_for = waiting_for.iter().map(|&name| name.to_owned()).collect();
        let source = Source { waiting_for, ..samples::source() };
        let period = Period { end: samples::start(), length: Duration::ZERO };
        serde_json::to_value(Summary::new(&Ledger::default().snapshot(), period, &source, 0)).unwrap()
    };
    assert_eq!(summary(&["user alice"])["waiting_for"], serde_json::json!(["user alice"]));
    assert_eq!(summary(&[]).get("waiting_for"), None);
}
