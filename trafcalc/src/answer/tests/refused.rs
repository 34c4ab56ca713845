use super::*;
use crate::book::BookError;
use crate::service::exit::Exit;

#[test]
fn what_the_book_cannot_tell_is_refused_with_the_reason_and_what_can_be_asked() {
    let history = History::of_berlin();
    for (question, needs, help) in [
        (
            Question { asked: between("2026-10-12 10:05", "now"), ..question() },
            "this needs rows of five minutes, and it has these only from 2026-10-2",
            "a period that begins and ends with whole hours",
        ),
        (
            Question { asked: Asked::Month("2026-10".parse().unwrap()), percentile: Some(95), ..question() },
            "a percentile needs rows of five minutes",
            "without --percentile",
        ),
        (
            Question {
                asked: Asked::Month("2026-10".parse().unwrap()),
                zone: Some(zone("Asia/Kolkata")),
                ..question()
            },
            "its hours and days are those of Europe/Berlin",
            "with --zone Europe/Berlin",
        ),
    ] {
        let error = history.ask(&question).unwrap_err();
        assert_eq!(error.exit(), Exit::Unavailable);
        let error = error.to_string();
        assert!(error.contains(needs) && error.contains(help), "{error}");
    }
}

#[test]
fn a_life_without_a_known_zone_is_told_by_five_minutes_and_never_by_those_of_the_reader() {
    let nameless = TimeZone::fixed(jiff::tz::offset(2));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.db");
    let (mut book, _) = Book::open(&opening(&path, nameless, time("2026-09-01T00:00:00Z"))).unwrap();
    for (seq, at) in [(1, "2026-09-03T22:30:00.5Z"), (2, "2026-11-20T22:30:00.5Z")] {
        let moved = vec![Moved { account: accounts()[0].clone(), bytes: Bytes { sent: 5, received: 0 } }];
        book.commit(&commit(seq, time(at), moved)).unwrap();
    }
    for _ in 0..90 {
        book.trim(system(time(END))).unwrap();
    }
    let ask = |zone, day: &str| {
        let question = Question { asked: Asked::Day(day.parse().unwrap()), zone, ..question() };
        ask(&Reader::open(&path).unwrap(), &question, time(END))
    };
    let error = ask(None, "2026-11-20").unwrap_err();
    assert_eq!(error.exit(), Exit::Unavailable);
    assert!(
        error.to_string().contains("does not name the time zone") && error.to_string().contains("--zone"),
        "{error}"
    );
    assert_eq!(ask(Some(TimeZone::UTC), "2026-11-20").unwrap().total.bytes.sent, 5);
    assert_eq!(ask(Some(zone(BERLIN)), "2026-11-20").unwrap().total.bytes.sent, 5);
    for zone in [TimeZone::UTC, zone(BERLIN)] {
        let error = ask(Some(zone), "2026-09-03").unwrap_err().to_string();
        assert!(error.contains("the zone of its hours and days is not known"), "{error}");
    }
}

#[test]
fn a_question_that_makes_no_sense_is_refused() {
    let history = History::of_berlin();
    let estimate = |asked| Question { asked, is_estimated: true, ..question() };
    for (question, told) in [
        (Question { asked: between("2026-11-03", "2026-11-03"), ..question() }, "is empty; --to must be later"),
        (
            estimate(Asked::Month("2026-10".parse().unwrap())),
            "--estimate is for a period that has begun and is not over",
        ),
        (estimate(Asked::Last(Duration::from_hours(24))), "--estimate is for a period that has begun and is not over"),
        (Question { only: Only { users: vec!["alise".to_owned()], ..Only::default() }, ..question() }, "\"alice\""),
    ] {
        let error = history.ask(&question).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn a_book_in_which_nothing_is_counted_yet_has_an_answer_and_no_estimate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.db");
    let begun = time(END);
    let (book, _) = Book::open(&opening(&path, zone(BERLIN), begun)).unwrap();
    let reader = Reader::open(&path).unwrap();
    let answer = ask(&reader, &question(), begun).unwrap();
    assert!(answer.rows.is_empty() && answer.counted.is_empty());
    assert_eq!(answer.notes, ["The book was begun at 2026-11-26 09:03."]);
    let table = table::table(&answer, false);
    assert!(table.contains("nothing of it counted") && !table.contains("No gaps"), "{table}");
    let error = ask(&reader, &Question { is_estimated: true, ..question() }, begun).unwrap_err();
    assert!(matches!(error, AnswerError::NothingCounted { .. }), "{error}");
    drop(book);
}

#[test]
fn old_rows_that_are_still_there_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.db");
    let (mut book, _) = Book::open(&opening(&path, zone(BERLIN), time("2026-09-01T00:00:00Z"))).unwrap();
    for (seq, at) in [(1, "2026-09-03T10:07:00.5Z"), (2, "2026-11-26T08:00:00.5Z")] {
        let moved = vec![Moved { account: accounts()[0].clone(), bytes: Bytes { sent: 5, received: 0 } }];
        book.commit(&commit(seq, time(at), moved)).unwrap();
    }
    let ask = || {
        let question = Question { asked: between("2026-09-03T10:05Z", "2026-09-03T10:10Z"), ..question() };
        ask(&Reader::open(&path).unwrap(), &question, time(END))
    };
    assert_eq!(ask().unwrap().total.bytes.sent, 5);
    book.trim(system(time(END))).unwrap();
    assert!(matches!(ask(), Err(AnswerError::Removed { .. })));
}

#[test]
fn a_reader_sees_one_moment_while_the_service_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.db");
    let (mut book, _) = Book::open(&opening(&path, zone(BERLIN), time(BEGIN))).unwrap();
    let mut report = |seq| {
        let moved = vec![Moved { account: accounts()[0].clone(), bytes: Bytes { sent: 5, received: 0 } }];
        book.commit(&commit(seq, time("2026-11-20T10:00:00.5Z"), moved)).unwrap();
    };
    let sent = |reader: &Reader| ask(reader, &question(), time(END)).unwrap().total.bytes.sent;
    report(1);
    let before = Reader::open(&path).unwrap();
    report(2);
    assert_eq!((sent(&before), sent(&Reader::open(&path).unwrap())), (5, 10));
}

#[test]
fn what_is_no_book_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.db");
    let error = |path: &Path| AnswerError::from(Reader::open(path).err().unwrap());
    assert!(matches!(error(&path), AnswerError::Missing(_)));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(error(&path), AnswerError::Book(BookError::Empty { .. })), "{}", error(&path));
    std::fs::write(&path, "no book\n".repeat(1000)).unwrap();
    assert_eq!(error(&path).exit(), Exit::Config, "{}", error(&path));
    let unshared = AnswerError::from(BookError::Unshared { path: path.clone() });
    assert_eq!(unshared.exit(), Exit::Privilege);
}

#[test]
fn a_damaged_book_is_not_set_aside_by_who_reads_it() {
    let history = History::of_berlin();
    let mut book = std::fs::read(&history.path).unwrap();
    // After the first page, which has the file's header.
    book[4096..].fill(0xa5);
    std::fs::write(&history.path, book).unwrap();
    let error = match Reader::open(&history.path) {
        Ok(reader) => ask(&reader, &question(), time(END)).unwrap_err(),
        Err(error) => error.into(),
    };
    assert_eq!(error.exit(), Exit::Unavailable);
    let error = error.to_string();
    assert!(error.contains("is damaged") && !error.contains("set aside"), "{error}");
}
