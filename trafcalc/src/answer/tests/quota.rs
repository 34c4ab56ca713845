//! The estimate of `trafcalc quota` for the end of a period.

use super::*;
use crate::book::{Change, Editor, GroupMembers, NewCorrection};

struct Nobody;

impl GroupMembers for Nobody {
    fn is_member(&self, _: &str, _: &str) -> bool {
        false
    }

    fn version(&self) -> u64 {
        0
    }
}

#[test]
fn a_correction_does_not_grow_until_the_end_of_a_period() {
    let folder = tempfile::tempdir().unwrap();
    let (path, config) = (folder.path().join("book.db"), folder.path().join("trafcalc.toml"));
    std::fs::write(&config, "[[quota]]\nname = 'all'\nlimit = '1MB'\n").unwrap();
    let alice = account(1000, Some("alice"), None, None);
    let (mut book, _) = Book::open(&opening(&path, zone("UTC"), time("2026-11-01T00:00:00Z"))).unwrap();
    let moved = vec![Moved { account: alice.clone(), bytes: Bytes { sent: 900, received: 100 } }];
    // Half of the month is over.
    let end = time("2026-11-16T00:00:00Z");
    book.commit(&commit(1, end - Duration::from_millis(500), moved)).unwrap();
    let change = Change { sent: -400, received: 0 };
    let date = "2026-11-15".parse().unwrap();
    let reason = "a backup".to_owned();
    let correction = NewCorrection { account: alice, date, change, reason, by_uid: 0, made: system(end) };
    Editor::open(&path).unwrap().correct(&correction).unwrap();
    let request = QuotaRequest { book: Some(path), config: Some(config), is_json: true };
    let (told, _) = quotas(&request, &Nobody, end).unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let all = &told["quotas"][0];
    assert_eq!((&all["used_bytes"], &all["estimated_bytes"]), (&600.into(), &1_600.into()));
}

#[test]
fn a_correction_counts_for_the_quotas_of_its_class() {
    let folder = tempfile::tempdir().unwrap();
    let (path, config) = (folder.path().join("book.db"), folder.path().join("trafcalc.toml"));
    let quota = |class: &str| format!("[[quota]]\nname = '{class}'\nlimit = '1MB'\nclasses = ['{class}']\n");
    let classes = "[[class]]\nname = 'lan'\nnetworks = ['10.0.0.0/8']\n";
    std::fs::write(&config, classes.to_owned() + &quota("lan") + &quota("internet")).unwrap();
    let of_class = |class: &str| AccountKey { class: Some(class.into()), ..account(1000, Some("alice"), None, None) };
    let (mut book, _) = Book::open(&opening(&path, zone("UTC"), time("2026-11-01T00:00:00Z"))).unwrap();
    let moved =
        ["lan", "internet"].map(|class| Moved { account: of_class(class), bytes: Bytes { sent: 900, received: 100 } });
    let end = time("2026-11-16T00:00:00Z");
    book.commit(&commit(1, end - Duration::from_millis(500), moved.to_vec())).unwrap();
    let (change, date, reason) = (Change { sent: -400, received: 0 }, "2026-11-15".parse().unwrap(), "x".to_owned());
    let new = NewCorrection { account: of_class("internet"), date, change, reason, by_uid: 0, made: system(end) };
    Editor::open(&path).unwrap().correct(&new).unwrap();
    let request = QuotaRequest { book: Some(path), config: Some(config), is_json: true };
    let told: serde_json::Value = serde_json::from_str(&quotas(&request, &Nobody, end).unwrap().0).unwrap();
    let used = |at: usize| told["quotas"][at]["used_bytes"].as_u64();
    assert_eq!((used(0), used(1)), (Some(1_000), Some(600)));
}
