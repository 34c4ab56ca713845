use serde_json::json;

use super::super::testing::{booked, hello, sample, three, user};
use super::*;

fn rates(model: &Model) -> Vec<(String, Pair)> {
    let mut rates: Vec<_> =
        model.flows.values().map(|flow| (model.name(&flow.whose), flow.rate(model.count))).collect();
    rates.sort();
    rates
}

#[test]
fn a_rate_is_what_moved_between_two_samples() {
    let model = three();
    assert_eq!(rates(&model), [("alice".to_owned(), [2_000_000, 10]), ("bob".to_owned(), [0, 500_000])]);
}

#[test]
fn an_account_that_is_not_told_of_has_not_moved() {
    let mut model = three();
    model.take(sample(12.0, json!([user(2, "bob", 7, 500_000)]), json!([])));
    assert_eq!(rates(&model), [("alice".to_owned(), [0, 0]), ("bob".to_owned(), [7, 0])]);
}

#[test]
fn an_account_that_began_anew_has_moved_all_that_it_has() {
    let mut model = three();
    model.take(sample(12.0, json!([user(1, "alice", 30, 10)]), json!([])));
    assert_eq!(rates(&model)[0].1, [30, 0]);
}

#[test]
fn after_samples_that_were_dropped_the_rate_is_that_of_all_their_time() {
    let mut model = three();
    model.take(sample(15.0, json!([user(1, "alice", 2_001_400, 10)]), json!([])));
    assert_eq!((rates(&model)[0].1, model.count), ([100, 0], 5));
    let mut minute = [0; MINUTE];
    model.flows.values().for_each(|flow| flow.add_minute(model.count, &mut minute));
    assert_eq!(minute[MINUTE - 5..], [2_500_010, 100, 100, 100, 100]);
}

#[test]
fn a_minute_is_kept_and_no_more() {
    let mut model = Model::new(hello(&["user"]));
    for second in 0..200_u32 {
        model.take(sample(second.into(), json!([user(1, "alice", u64::from(second), 0)]), json!([])));
    }
    let flow = model.flows.values().next().unwrap();
    assert_eq!(flow.history.len(), MINUTE);
    let mut minute = [0; MINUTE];
    flow.add_minute(model.count, &mut minute);
    assert_eq!(minute, [1; MINUTE]);
    flow.add_minute(model.count + 1_000, &mut minute);
    assert_eq!(minute, [1; MINUTE], "it is long ago");
}

#[test]
fn rows_of_the_book_replace_those_before_and_a_day_begins_with_none() {
    let mut model = three();
    model.take(sample(12.0, json!([]), json!([booked(2, "bob", 9, 10)])));
    assert_eq!(model.booked.len(), 3);
    assert!(model.booked.iter().any(|row| (row.uid, row.sent_bytes_today) == (Some(2), 9)));
    let mut next = sample(13.0, json!([]), json!([booked(2, "bob", 0, 10)]));
    next.date = Some("2026-11-27".to_owned());
    model.take(next);
    assert_eq!(model.booked.len(), 1);
}
