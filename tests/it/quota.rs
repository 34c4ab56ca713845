//! `trafcalc quota`: what is printed, and how it exits.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use serde_json::Value;
use trafcalc::book::{AccountKey, AccountKind, Book, Commit, Moved, Opening};
use trafcalc::capture::{Bytes, OpenNotes};

use super::support::{stderr, trafcalc};

/// A folder with a book in which root has just sent 850 bytes and received 15.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (path, now) = (folder.path().join("book.db"), SystemTime::now());
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let opening = Opening {
        path: &path,
        zone,
        billing_day: 1,
        boot_id: "boot",
        version: "0.1.0",
        settings: "{}",
        sinks: &[],
        now,
    };
    let (mut book, _) = Book::open(&opening).unwrap();
    let (user, program, unit) = (Some("root".to_owned()), None, None);
    let account = AccountKey { kind: AccountKind::User, uid: Some(0), user, program, unit, class: None };
    let (second, gaps, open) = (Duration::from_millis(1), Vec::new(), OpenNotes::default());
    let moved = vec![Moved { account, bytes: Bytes { sent: 850, received: 15 } }];
    let (baseline, records, health) = (None, None, "{}".to_owned());
    let (start, end) = (now, now + second);
    let commit =
        Commit { seq: 1, start, end, monotonic: second, moved, baseline, health, records, gaps, open, ended: false };
    book.commit(&commit).unwrap();
    folder
}

/// With this limit of root's group, in that direction.
fn config(folder: &Path, limit: &str) -> PathBuf {
    let file = folder.join("trafcalc.toml");
    let quota = |name: &str, rest: &str| format!("[[quota]]\nname = '{name}'\nlimit = '{limit}'\n{rest}\n");
    let by_group = quota("roots", "groups = ['root']\ndirection = 'sent'");
    std::fs::write(&file, by_group + &quota("nobodies", "users = ['nobody']\nperiod = 'day'")).unwrap();
    file
}

#[track_caller]
fn printed(folder: &Path, limit: &str, more: &[&str], code: i32) -> String {
    let mut command = trafcalc(&["quota"]);
    command.arg("--config").arg(config(folder, limit)).arg("--book").arg(folder.join("book.db"));
    let output = command.args(more).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(code), String::new()));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_quota_that_is_passed_ends_with_1() {
    let folder = folder();
    let month =
        TimeZone::get("Europe/Berlin").unwrap().to_datetime(jiff::Timestamp::now()).strftime("%Y-%m").to_string();
    let told = printed(folder.path(), "1kB", &[], 0);
    let lines: Vec<Vec<_>> = told.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["quota", "period", "direction", "used", "limit", "used", "%", "at", "end"]);
    assert_eq!(lines[1][..9], ["roots", &month, "sent", "850", "B", "1.00", "kB", "85", "%"]);
    assert_eq!(lines[2][2..9], ["both", "0", "B", "1.00", "kB", "0", "%"]);
    assert!(!told.contains("passed"));
    let told = printed(folder.path(), "850B", &[], 1);
    assert!(told.lines().nth(3).unwrap().ends_with("  passed"), "{told}");
}

#[test]
fn json_has_exact_figures() {
    let folder = folder();
    for (limit, code) in [("851B", 0), ("850B", 1)] {
        let told: Value = serde_json::from_str(&printed(folder.path(), limit, &["--json"], code)).unwrap();
        let roots = &told["quotas"][0];
        assert_eq!((&told["schema"], &told["zone"]), (&1.into(), &"Europe/Berlin".into()));
        assert_eq!(
            (&roots["quota"], &roots["used_bytes"], &roots["passed"]),
            (&"roots".into(), &850.into(), &(code == 1).into())
        );
        assert_eq!(roots["percent"], 85_000 / limit[..3].parse::<u64>().unwrap());
        assert_eq!((&told["quotas"][1]["period"], &told["quotas"][1]["used_bytes"]), (&"day".into(), &0.into()));
    }
}

#[test]
fn units_that_are_not_told_apart_are_told() {
    let folder = folder();
    let file = folder.path().join("units.toml");
    std::fs::write(&file, "[[quota]]\nname = 'web'\nlimit = '1GB'\nunits = ['nginx.service']").unwrap();
    let output = trafcalc(&["quota", "--config"]).arg(file).arg("--book").arg(folder.path().join("book.db")).output();
    let told = String::from_utf8(output.unwrap().stdout).unwrap();
    assert!(told.contains("the quota \"web\" names units, which need `by = [\"unit\"]`\n"), "{told}");
}

#[test]
fn without_a_quota_or_a_book_that_is_said() {
    let folder = folder();
    let empty = folder.path().join("empty.toml");
    std::fs::write(&empty, "").unwrap();
    let quota = |book: &str| {
        let output =
            trafcalc(&["quota", "--config"]).arg(&empty).arg("--book").arg(folder.path().join(book)).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout.clone()).unwrap() + &stderr(&output))
    };
    let (code, told) = quota("book.db");
    assert!(code == Some(0) && told.starts_with("No quota is configured"), "{told}");
    let (code, told) = quota("none.db");
    assert!(code == Some(69) && told.contains("there is no book"), "{told}");
}
