use super::*;
use crate::answer::{csv::csv, json::json, table::table};

/// A book in UTC with the given epochs, reports and gaps.
struct Kept {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

/// A report from one time to another, in which one byte moved.
fn report(seq: u64, from: &str, to: &str) -> Commit {
    let moved = vec![Moved { account: accounts()[0].clone(), bytes: Bytes { sent: 1, received: 0 } }];
    let (start, end) = (system(time(from)), system(time(to)));
    Commit { start, end, monotonic: end.duration_since(start).unwrap(), ..commit(seq, time(to), moved) }
}

fn gap(from: &str, to: &str) -> Vec<Gap> {
    vec![Gap { from: system(time(from)), to: system(time(to)), cause: "the service was stopped".to_owned() }]
}

impl Kept {
    fn new() -> Self {
        Self::begun_by("ebpf")
    }

    fn begun_by(backend: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book.db");
        let kept = Self { _folder: folder, path };
        kept.live_by(backend, "2026-11-20T00:00:00Z", vec![report(1, "2026-11-20T00:00:00Z", "2026-11-20T00:01:00Z")]);
        kept
    }

    /// An epoch of the eBPF backend.
    fn live(&self, begin: &str, reports: Vec<Commit>) {
        self.live_by("ebpf", begin, reports);
    }

    fn live_by(&self, backend: &'static str, begin: &str, reports: Vec<Commit>) {
        let (mut book, _) = Book::open(&opening(&self.path, TimeZone::UTC, time(begin))).unwrap();
        book.counts_with(backend, None, None).unwrap();
        for report in reports {
            book.commit(&report).unwrap();
        }
    }

    fn ask(&self, from: &str, to: &str) -> Answer {
        let reader = Reader::open(&self.path).unwrap();
        ask(&reader, &Question { asked: between(from, to), ..question() }, time("2026-11-21T00:00:00Z")).unwrap()
    }
}

/// Every format has the one note, and none says that everything was counted.
#[track_caller]
fn check(answer: &Answer, note: &str) {
    assert_eq!(answer.notes, [note]);
    assert!(answer.is_doubtful);
    let shown = table(answer, true);
    assert!(shown.contains(note) && !shown.contains("All of this time was counted"), "{shown}");
    assert!(json(answer).contains(note) && csv(answer).contains(note), "{}", csv(answer));
}

#[test]
fn what_was_counted_while_no_service_ran_is_told_with_its_time() {
    let kept = Kept::new();
    kept.live("2026-11-20T05:00:00Z", vec![report(1, "2026-11-20T05:00:01Z", "2026-11-20T05:01:00Z")]);
    let note = "What moved from 2026-11-20 00:01 to 2026-11-20 05:00:01, while no service wrote the book, is in the five minutes \
                from 2026-11-20 05:00 to 2026-11-20 05:05, as far as it was counted.";
    for (from, to) in [("2026-11-20T00:00Z", "2026-11-20T05:05Z"), ("2026-11-20T02:00Z", "2026-11-20T03:00Z")] {
        check(&kept.ask(from, to), note);
    }
    assert!(!kept.ask("2026-11-20T05:05Z", "2026-11-20T05:10Z").is_doubtful);
}

#[test]
fn a_hole_within_five_minutes_and_one_within_a_life_are_none() {
    let kept = Kept::new();
    let reports = [("2026-11-20T00:01:10Z", "2026-11-20T00:02:00Z"), ("2026-11-20T01:00:00Z", "2026-11-20T01:01:00Z")];
    kept.live("2026-11-20T00:01:10Z", (1..).zip(reports).map(|(seq, (from, to))| report(seq, from, to)).collect());
    let answer = kept.ask("2026-11-20T00:00Z", "2026-11-20T01:00Z");
    assert!(answer.notes.is_empty() && !answer.is_doubtful, "{:?}", answer.notes);
    assert!(table(&answer, true).ends_with("No gaps. All of this time was counted.\n"));
}

#[test]
fn what_open_connections_may_have_told_of_a_stop_is_told() {
    let note = "What open connections moved from 2026-11-20 00:01 to 2026-11-20 05:00:01, in a gap, is in the five minutes from \
                2026-11-20 05:00 to 2026-11-20 05:05, as far as it was counted.";
    for (former, next) in [("ebpf", "ebpf"), ("packet", "packet"), ("ebpf", "packet"), ("packet", "ebpf")] {
        let kept = Kept::begun_by(former);
        let first = report(1, "2026-11-20T05:00:01Z", "2026-11-20T05:01:00Z");
        let gaps = gap("2026-11-20T00:01:00Z", "2026-11-20T05:00:01Z");
        kept.live_by(next, "2026-11-20T05:00:00Z", vec![Commit { gaps, ..first }]);
        let answer = kept.ask("2026-11-20T00:00Z", "2026-11-20T05:00Z");
        if former == next {
            check(&answer, note);
        } else {
            assert!(answer.notes.is_empty(), "a backend does not heed the other's: {:?}", answer.notes);
        }
    }
}

#[test]
fn a_report_of_more_than_five_minutes_is_told() {
    let kept = Kept::new();
    kept.live("2026-11-20T00:01:00Z", vec![report(1, "2026-11-20T00:01:00Z", "2026-11-20T00:14:00Z")]);
    let note = "What moved from 2026-11-20 00:01 to 2026-11-20 00:14 was booked as one report and is in the five minutes from \
                2026-11-20 00:05 to 2026-11-20 00:10.";
    check(&kept.ask("2026-11-20T00:00Z", "2026-11-20T00:10Z"), note);
}

#[test]
fn many_such_times_are_told_by_their_number() {
    let kept = Kept::new();
    for hour in 1..=8 {
        let begin = format!("2026-11-20T0{hour}:00:00Z");
        kept.live(&begin, vec![report(1, &begin, &format!("2026-11-20T0{hour}:01:00Z"))]);
    }
    let notes = kept.ask("2026-11-20T00:00Z", "2026-11-20T08:00Z").notes;
    assert_eq!((notes.len(), notes[5].as_str()), (6, "There are 3 more such times."));
}

#[test]
fn what_the_service_could_not_count_is_told_as_far_as_it_is_of_the_period() {
    let kept = Kept::new();
    let health = [
        r#"{"coarse_bytes_total":5,"lost_events_total":9}"#,
        r#"{"coarse_bytes_total":12,"audited_total":3,"gaps":1}"#,
        "no JSON",
    ];
    let reports = (1_u64..).zip(health).map(|(hour, health)| {
        let (from, to) = (format!("2026-11-20T0{hour}:00:00Z"), format!("2026-11-20T0{hour}:01:00Z"));
        Commit { health: health.to_owned(), ..report(hour + 1, &from, &to) }
    });
    let first = report(1, "2026-11-20T00:01:00Z", "2026-11-20T00:02:00Z");
    kept.live("2026-11-20T00:01:00Z", [first].into_iter().chain(reports).collect());
    let note = |what| {
        format!(
            "Not all of this time was counted or attributed with certainty: {what} (explained in records.md, under Health)."
        )
    };
    check(&kept.ask("2026-11-20T00:30Z", "2026-11-20T01:05Z"), &note("coarse_bytes_total 5"));
    check(&kept.ask("2026-11-20T01:05Z", "2026-11-20T02:05Z"), &note("coarse_bytes_total 7, gaps 1"));
    assert!(!kept.ask("2026-11-20T02:05Z", "2026-11-20T03:00Z").is_doubtful);
    assert!(!kept.ask("2026-11-20T02:05Z", "2026-11-20T03:05Z").is_doubtful, "what is no JSON tells nothing");
}

#[test]
fn a_gap_that_ends_before_it_begins_is_told() {
    let kept = Kept::new();
    let first = report(1, "2026-11-20T00:00:30Z", "2026-11-20T00:01:00Z");
    kept.live(
        "2026-11-20T00:00:30Z",
        vec![Commit { gaps: gap("2026-11-20T00:01:00Z", "2026-11-20T00:00:30Z"), ..first }],
    );
    let note = "Some time was not counted, it is not known how long: the service was stopped at 2026-11-20 00:01, and went on at \
                2026-11-20 00:00:30 by a clock that was set back.";
    check(&kept.ask("2026-11-20T00:00Z", "2026-11-20T00:10Z"), note);
    assert!(!kept.ask("2026-11-20T00:10Z", "2026-11-20T00:20Z").is_doubtful);
}
