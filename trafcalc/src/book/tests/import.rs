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

#[test]
fn an_import_changes_nothing_that_was_counted_since_the_book_was_begun() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let end = at(BEGIN_S + 60);
    let mut commit = commit(1, end, &[(user(2, Some("bob")), bytes(5, 6))]);
    let gap = |from, to| Gap { from, to, cause: "test".to_owned() };
    // In the second one the clock was set back.
    commit.gaps = vec![gap(at(BEGIN_S), end), gap(end, at(BEGIN_S + 50))];
    book.commit(&commit).unwrap();
    let counted = Reader::open(&path).unwrap().uncounted().unwrap();
    assert_eq!(counted, (2, Duration::from_mins(1)));
    import(&path, &[1, 3]);
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.uncounted().unwrap(), counted);
    let totals: Vec<_> = reader.totals().unwrap().into_iter().map(|(_, key, bytes)| (key.uid, bytes)).collect();
    assert_eq!(totals, [(Some(2), bytes(5, 6)), (Some(1), Bytes::default())]);
}
