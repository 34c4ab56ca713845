use super::*;
use crate::capture::{Batch, Bytes, Dimension, Owner, Unit};
use crate::ledger::Ledger;

fn report(ledger: &Ledger, scope: Scope) -> Report {
    let period = Period { seq: 1, end: samples::start(), length: Duration::from_millis(1_500), step_s: None };
    Report::new(
        &ledger.snapshot(),
        scope,
        period,
        &samples::source(),
        Errors { log: 3, ..Errors::default() },
        &mut samples::Told,
    )
}

#[test]
fn only_accounts_that_moved_are_told_about_until_all_are_asked_for() {
    let mut ledger = Ledger::default();
    let bytes = Bytes { sent: 1, received: 0 };
    ledger.apply(&Batch { credits: vec![(Owner::user(1), bytes)], ..Batch::default() });
    ledger.mark_reported();
    ledger.apply(&Batch { credits: vec![(Owner::user(2), bytes)], ..Batch::default() });

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
        refused_movements: 15,
        audited: 13,
        audit_mismatches: 14,
        unread_bytes: 15,
    };
    let credits = vec![(Owner::UNATTRIBUTED, Bytes { sent: 8, received: 9 })];
    ledger.apply(&Batch { credits, health, ..Batch::default() });
    let summary = report(&ledger, Scope::Moved).summary;
    let record = serde_json::to_value(&summary).unwrap();
    for (name, number) in health.numbers() {
        assert_eq!(record[name], number, "{name}");
    }
    assert_eq!(record["unattributed_bytes_total"], 17);
    assert_eq!(record["log_errors_total"], 3);
    assert_eq!(summary.interval_s.to_string(), "1.5");
    assert_eq!((summary.attach.as_deref(), summary.method.as_deref()), (Some("fentry"), Some("sweep")));
}

#[test]
fn a_record_tells_the_process_where_that_was_asked_for() {
    let mut ledger = Ledger::default();
    let process = Process { pid: 7, started_ns: 1_250_000_000 };
    let nginx = Owner { process: Some(process), program: Some("nginx".into()), ..Owner::user(33) };
    let bytes = Bytes { sent: 1, received: 0 };
    let credits = vec![(nginx, bytes), (Owner::user(33), bytes), (Owner::OTHER, bytes)];
    ledger.apply(&Batch { credits, ..Batch::default() });
    let period = Period { seq: 1, end: samples::start(), length: Duration::from_secs(1), step_s: None };
    let source = Source { by: By::PROCESS, ..samples::source() };
    let report = Report::new(&ledger.snapshot(), Scope::All, period, &source, Errors::default(), &mut samples::Told);
    let records: Vec<_> = report.accounts.iter().map(|account| serde_json::to_string(account).unwrap()).collect();
    assert!(records[0].contains(r#""user":"alice","pid":null,"start_time":null,"program":null,"exe":null,"sent"#));
    let told = r#""pid":7,"start_time":"2026-11-23T02:00:01.250Z","program":"nginx","exe":"/usr/bin/nginx","sent"#;
    assert!(records[1].contains(told), "{}", records[1]);
    assert!(records[2].contains(r#""uid":null,"user":null,"account":"(other)","pid":null"#), "{}", records[2]);
}

#[test]
fn a_record_has_the_fields_of_all_that_accounts_are_told_apart_by() {
    let nginx = Owner {
        process: Some(Process { pid: 7, started_ns: 0 }),
        program: Some("nginx".into()),
        unit: Some(Unit::Named("web.service".into())),
        ..Owner::user(33)
    };
    let mut ledger = Ledger::default();
    let bytes = Bytes { sent: 1, received: 0 };
    ledger.apply(&Batch { credits: vec![(Owner::user(33), bytes), (nginx, bytes)], ..Batch::default() });
    let fields = |by| {
        let source = Source { by, ..samples::source() };
        let period = Period { seq: 1, end: samples::start(), length: Duration::from_secs(1), step_s: None };
        let report =
            Report::new(&ledger.snapshot(), Scope::All, period, &source, Errors::default(), &mut samples::Told);
        let record = serde_json::to_string(&report.accounts[1]).unwrap();
        let (_, fields) = record.split_once(r#""user":"alice","#).unwrap();
        fields.split_once(r#""sent_bytes""#).unwrap().0.to_owned()
    };
    assert_eq!(fields(By::PROGRAM.and(Dimension::Unit)), r#""program":"nginx","unit":"web.service","#);
    let all = r#""pid":7,"start_time":"2026-11-23T02:00:00.000Z","program":"nginx","exe":"/usr/bin/nginx","unit":"web.service","#;
    assert_eq!(fields(By::PROCESS.and(Dimension::Unit)), all);
}

/// Two reports: one unit of a program moved in both, another one only in the second.
#[test]
fn a_report_that_takes_in_the_next_keeps_units_of_a_program_apart() {
    let inside = |unit: &str| {
        let unit = Some(Unit::Named(unit.into()));
        Owner { program: Some("curl".into()), unit, ..Owner::user(1) }
    };
    let report = |units: &[&str]| {
        let mut ledger = Ledger::default();
        let credits = units.iter().map(|unit| (inside(unit), Bytes { sent: 1, received: 0 })).collect();
        ledger.apply(&Batch { credits, ..Batch::default() });
        report(&ledger, Scope::Moved)
    };
    let mut merged = report(&["a"]);
    merged.merge(report(&["a", "b"]));
    let told = merged.accounts.iter().map(|account| (account.detail.unit.as_deref(), account.sent_bytes));
    assert_eq!(told.collect::<Vec<_>>(), [(Some("a"), 2), (Some("b"), 1)]);
}

#[test]
fn numbers_of_health_that_are_0_are_left_out() {
    let record = serde_json::to_value(&report(&Ledger::default(), Scope::All).summary).unwrap();
    let told = Health::NAMES.iter().filter(|name| record.get(**name).is_some());
    assert_eq!(told.count(), 0, "{record}");
    assert_eq!(record.get("unattributed_bytes_total"), None);
}

#[test]
fn times_before_1970_are_told_as_they_are() {
    let time = SystemTime::UNIX_EPOCH - Duration::from_millis(1_500);
    let stamp = Stamp { time, host: Some("a".into()), epoch: 1, seq: 2 };
    let told = serde_json::to_string(&stamp).unwrap();
    assert_eq!(told, r#"{"time":"1969-12-31T23:59:58.500Z","host":"a","epoch":1,"seq":2}"#);
}

fn of_users(seq: u64, users: &[(u32, u64)]) -> Report {
    let mut ledger = Ledger::default();
    let credits = users.iter().map(|&(uid, sent)| (Owner::user(uid), Bytes { sent, received: 2 * sent })).collect();
    ledger.apply(&Batch { credits, ..Batch::default() });
    let period =
        Period { seq, end: samples::start(), length: Duration::from_millis(100), step_s: (seq == 2).then_some(-5.0) };
    Report::new(&ledger.snapshot(), Scope::Moved, period, &samples::source(), Errors::default(), &mut samples::Told)
}

#[test]
fn a_report_that_takes_in_the_next_is_about_both_periods() {
    let mut merged = of_users(1, &[(1, 10), (2, 20)]);
    merged.merge(of_users(2, &[(2, 5), (3, 1)]));
    merged.merge(of_users(3, &[]));
    let told: Vec<_> =
        merged.accounts.iter().map(|account| (account.uid, account.sent_bytes, account.received_bytes)).collect();
    assert_eq!(told, [(Some(1), 10, 20), (Some(2), 25, 50), (Some(3), 1, 2)]);
    assert!(merged.accounts.iter().all(|account| account.stamp.seq == 3 && account.interval_s.to_string() == "0.3"));
    assert_eq!((merged.summary.stamp.seq, merged.summary.sent_bytes, merged.summary.received_bytes), (3, 36, 72));
    assert_eq!(merged.steps.iter().map(|step| (step.stamp.seq, step.step_s)).collect::<Vec<_>>(), [(3, -5.0)]);
}

#[test]
fn a_report_that_takes_in_many_processes_tells_of_the_oldest_by_user() {
    let of_process = |seq, pid| {
        let process = Some(Process { pid, started_ns: 1 });
        let owner = Owner { process, program: Some("a".into()), ..Owner::user(pid % 2) };
        let bytes = Bytes { sent: 10, received: 1 };
        let accounts = vec![Account { owner, total: bytes, moved: bytes, of_life: bytes }];
        let snapshot = Snapshot { accounts, total: bytes, moved: bytes, ..Ledger::default().snapshot() };
        let period = Period { seq, end: samples::start(), length: Duration::from_millis(100), step_s: None };
        let source = Source { by: By::PROCESS, ..samples::source() };
        Report::new(&snapshot, Scope::Moved, period, &source, Errors::default(), &mut samples::Told)
    };
    let (mut merged, mut coarse_bytes, most) = (of_process(1, 1), 0, 10);
    for pid in 2..=100 {
        coarse_bytes += merged.merge_within(of_process(u64::from(pid), pid), most);
        assert!(merged.accounts.len() <= most);
    }
    let sums = merged.accounts.iter().fold((0, 0), |(sent, received), record| {
        assert!(record.sent_bytes_total >= record.sent_bytes);
        (sent + record.sent_bytes, received + record.received_bytes)
    });
    assert_eq!(sums, (1_000, 100), "no byte is lost");
    assert_eq!((merged.summary.sent_bytes, merged.summary.received_bytes), sums);
    let newest = merged.accounts.last().unwrap();
    assert_eq!(newest.detail.pid, Some(100), "{newest:?}");
    let (coarse, fine): (Vec<_>, Vec<_>) = merged.accounts.iter().partition(|record| record.detail.pid.is_none());
    assert_eq!((coarse.len(), fine.len() > 2), (2, true));
    let told: u64 = coarse.iter().map(|record| record.sent_bytes + record.received_bytes).sum();
    assert_eq!(coarse_bytes, told);
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
        let period = Period { seq: 1, end: samples::start(), length: Duration::ZERO, step_s: None };
        serde_json::to_value(Summary::new(&Ledger::default().snapshot(), period, &source, Errors::default())).unwrap()
    };
    assert_eq!(summary(&["user alice"])["waiting_for"], serde_json::json!(["user alice"]));
    assert_eq!(summary(&[]).get("waiting_for"), None);
}

fn again<T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(record: &T) {
    let text = serde_json::to_string(record).unwrap();
    assert_eq!(serde_json::from_str::<T>(&text).unwrap(), *record, "{text}");
}

#[test]
fn a_record_that_is_written_is_read_again() {
    let process = Process { pid: 7, started_ns: 1_000_000 };
    for by in [By::USER, By::PROCESS, By::UNIT, By::PROGRAM.and(Dimension::Unit)] {
        let told = |dimension| by.tells(dimension);
        let owner = Owner {
            process: told(Dimension::Process).then_some(process),
            program: told(Dimension::Program).then(|| "curl".into()),
            unit: told(Dimension::Unit).then(|| Unit::Named("a.service".into())),
            ..Owner::user(1000)
        };
        let bytes = Bytes { sent: u64::MAX, received: 2 };
        let account = |owner| Account { owner, total: bytes, moved: bytes, of_life: bytes };
        let accounts = vec![account(owner), account(Owner::UNATTRIBUTED)];
        let health = Health { gaps: 3, ..Health::default() };
        let snapshot = Snapshot { accounts, health, ..Snapshot::default() };
        let period = Period { seq: 3, end: samples::start(), length: Duration::from_millis(10_123), step_s: Some(1.0) };
        let source = Source { by, waiting_for: vec!["user x".to_owned()], ..samples::source() };
        let report = Report::new(&snapshot, Scope::All, period, &source, Errors::default(), &mut samples::Told);
        report.accounts.iter().for_each(again);
        report.steps.iter().for_each(again);
        again(&report.summary);
    }
}

#[test]
fn what_makes_no_total_wrong_is_a_remark_and_no_trouble() {
    let health = Health { late_connections: 2, pending_bytes: 3, gaps: 4, ..Health::default() };
    let summary = Summary { health, unattributed_bytes_total: 5, book_errors_total: 6, ..samples::report().summary };
    assert_eq!(summary.troubles(), ["unattributed_bytes_total=5", "gaps=4", "book_errors_total=6"]);
    assert_eq!(
        summary.remarks(),
        [&summary.troubles()[..2], &["late_connections_total=2".to_owned()], &summary.troubles()[2..]].concat()
    );
}
