//! Imports of logs.

use super::*;

/// Imports the reports of these minutes before the book was begun, each with a byte. Returns how many were imported,
/// and how many had been before.
fn import(path: &Path, minutes: &[u64]) -> (u64, u64) {
    import_at(at(BEGIN_S), path, minutes)
}

fn import_at(now: SystemTime, path: &Path, minutes: &[u64]) -> (u64, u64) {
    let report = |seq: &u64| {
        let start = at(BEGIN_S - 600 + 60 * seq);
        let moved = vec![Moved { account: user(1, Some("ada")), bytes: bytes(1, 0) }];
        LoggedReport { epoch: 7, seq: *seq, start, end: start + Duration::from_mins(1), moved }
    };
    let reports: Vec<_> = minutes.iter().map(report).collect();
    let mut all = Imported::default();
    let import = Import { zone: &TimeZone::UTC, by_uid: 0, now };
    Editor::open(path).unwrap().import(&import).book(&reports, &mut all).unwrap();
    (all.reports, all.known)
}

#[test]
fn rows_that_the_book_has_not_trimmed_yet_are_imported() {
    let (_folder, path) = folder();
    let (book, _) = open(&path);
    // The service was stopped for longer than rows of five minutes are kept.
    import_at(at(BEGIN_S) + FINE_KEPT + Duration::from_hours(1), &path, &[1, 2]);
    assert_ne!(number(&book, "SELECT count(*) FROM past_fine"), 0);
}

#[test]
fn a_report_that_is_missing_in_one_log_is_taken_from_another() {
    let (_folder, path) = folder();
    let (book, _) = open(&path);
    assert_eq!(import(&path, &[1, 3, 4]), (3, 0));
    assert_eq!(import(&path, &[1, 2, 3, 4]), (1, 3));
    assert_eq!(import(&path, &[1, 2, 3, 4]), (0, 4));
    assert_eq!(sums(&book, "past_day"), bytes(4, 0));
    assert_eq!(number(&book, "SELECT count(*) FROM imported"), 3, "reports that follow one another are one run");
}
