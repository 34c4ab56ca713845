//! Samples between reports: what they collect is in the next report, and they start no new period.

use super::*;
use crate::report::AccountTotals;

/// The totals that clients get: user, sent and received bytes.
fn looked(audience: &Audience) -> Vec<(Option<u32>, u64, u64)> {
    let look = audience.take().look.expect("there was a look");
    let totals = |account: &AccountTotals| (account.uid, account.sent_bytes, account.received_bytes);
    look.accounts.iter().map(|(account, _)| totals(account)).collect()
}

#[test]
fn what_a_sample_collects_is_in_the_next_report_and_no_period_moves() {
    let mut bench =
        Bench::new([batch(&[(1, 10, 20)]), batch(&[(1, 1, 2)]), batch(&[(1, 4, 0), (2, 5, 5)]), batch(&[])]);
    let audience = Audience::new().unwrap();
    bench.daemon.audience = Some(audience.clone());
    bench.goes_on_after_10s(Event::Tick);
    bench.records();
    bench.goes_on_after_10s(Event::Sample);
    assert_eq!(looked(&audience), [(Some(1), 11, 22)]);
    bench.goes_on_after_10s(Event::Sample);
    assert_eq!(looked(&audience), [(Some(1), 15, 22), (Some(2), 5, 5)]);
    assert!(bench.records().is_empty());
    bench.goes_on_after_10s(Event::Tick);
    let records = bench.records();
    assert_eq!(
        records.iter().map(numbers).collect::<Vec<_>>(),
        [(Some(1), [5, 2, 15, 22]), (Some(2), [5, 5, 5, 5]), (None, [10, 7, 20, 27])]
    );
    assert_eq!((records[2]["seq"].as_u64(), records[2]["interval_s"].as_f64()), (Some(2), Some(30.0)));
    assert!(audience.take().look.is_none(), "a report is no sample");
}

#[test]
fn a_backend_that_dies_at_a_sample_leaves_a_last_report() {
    let died = CaptureError::System { what: "reading", source: std::io::ErrorKind::NetworkDown.into() };
    let mut bench = Bench::new([Err(died), batch(&[(1, 2, 0)])]);
    bench.daemon.audience = Some(Audience::new().unwrap());
    assert_eq!(bench.exit_after_10s(Event::Sample), Exit::Unavailable);
    assert_eq!(
        bench.records().iter().map(numbers).collect::<Vec<_>>(),
        [(Some(1), [2, 0, 2, 0]), (None, [2, 0, 2, 0])]
    );
}
