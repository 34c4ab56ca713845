//! Messages of a service, for tests.

use serde_json::{Value, json};

use super::model::Model;
use crate::status::{ClassOf, Hello, Sample};

/// The greeting of a service that tells accounts apart by `by`.
pub(super) fn hello(by: &[&str]) -> Hello {
    let hello = json!({
        "schema": 1, "version": "0.1.0", "epoch": 7, "interval_s": 60.0, "zone": "UTC", "by": by, "backend": "ebpf",
        "attach": "tracepoint", "method": "sweep",
    });
    serde_json::from_value(hello).unwrap()
}

/// Two classes, one of them billed.
pub(super) fn classes() -> Vec<ClassOf> {
    [("lan", false), ("internet", true)].map(|(name, billed)| ClassOf { name: name.to_owned(), billed }).to_vec()
}

/// Alice moves 300 kB/s in the LAN and 20 kB/s outside; bob moves 1 kB/s outside.
pub(super) fn in_classes() -> Model {
    let mut model = Model::new(Hello { classes: classes(), ..hello(&["user"]) });
    let account = |uid: u32, name: &str, class: Option<&str>, sent: u64| json!({"uid": uid, "user": name, "class": class, "sent_bytes": sent, "received_bytes": 0});
    let of_class = |row: Value, class: &str| {
        let mut row = row;
        row["class"] = class.into();
        row
    };
    let days = json!([
        of_class(booked(1, "alice", 5_000_000, 7_000_000_000), "lan"),
        of_class(booked(1, "alice", 1_000, 1_000), "internet"),
        booked(2, "bob", 10, 10),
    ]);
    model.take(sample(10.0, json!([]), days));
    let accounts = json!([
        account(1, "alice", Some("lan"), 300_000),
        account(1, "alice", Some("internet"), 20_000),
        account(2, "bob", Some("internet"), 1_000),
    ]);
    model.take(sample(11.0, accounts, json!([])));
    model
}

/// A sample at this time; accounts and rows of the book as JSON.
#[expect(clippy::needless_pass_by_value, reason = "what json! gives reads better without a borrow")]
pub(super) fn sample(at_s: f64, accounts: Value, booked: Value) -> Sample {
    let sample = json!({
        "at_s": at_s,
        "summary": {
            "time": "2026-11-26T10:00:00.000Z", "epoch": 7, "seq": 1, "since": "2026-11-26T09:00:00.000Z", "interval_s": 1.0,
            "backend": "ebpf", "attach": "tracepoint", "method": "sweep", "accounts": 1, "sent_bytes": 1,
            "received_bytes": 1, "sent_bytes_total": 1, "received_bytes_total": 1,
        },
        "accounts": accounts,
        "date": "2026-11-26",
        "booked": booked,
    });
    serde_json::from_value(sample).unwrap()
}

/// An account that has only a user.
pub(super) fn user(uid: u32, user: &str, sent: u64, received: u64) -> Value {
    json!({"uid": uid, "user": user, "sent_bytes": sent, "received_bytes": received})
}

/// What a user moved today and this month.
pub(super) fn booked(uid: u32, user: &str, today: u64, month: u64) -> Value {
    json!({
        "uid": uid, "user": user, "sent_bytes_today": today, "received_bytes_today": 0, "sent_bytes_month": month,
        "received_bytes_month": 0,
    })
}

/// Three users: alice sends 2 MB/s, bob receives 500 kB/s, and carol has moved something today.
pub(super) fn three() -> Model {
    let mut model = Model::new(hello(&["user"]));
    let days = json!([
        booked(1, "alice", 5_000_000, 7_000_000_000),
        booked(2, "bob", 1_000, 1_000),
        booked(3, "carol", 9_000_000, 9_000_000)
    ]);
    model.take(sample(10.0, json!([user(1, "alice", 1_000, 0)]), days));
    model.take(sample(11.0, json!([user(1, "alice", 2_001_000, 10), user(2, "bob", 0, 500_000)]), json!([])));
    model
}
