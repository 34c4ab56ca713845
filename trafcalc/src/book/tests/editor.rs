//! A person changes a book while a service writes it.

use std::thread;

use super::*;

fn correction(number: i64) -> NewCorrection {
    NewCorrection {
        account: user(1, Some("ada")),
        date: "2026-11-26".parse().unwrap(),
        change: Change { sent: number, received: 0 },
        reason: "a test".to_owned(),
        by_uid: 0,
        made: at(BEGIN_S),
    }
}

#[test]
fn corrections_and_reports_go_side_by_side_and_none_is_lost() {
    const EACH: u64 = 100;
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let reports = |book: &mut Book, from: u64| {
        for seq in from..from + EACH {
            book.commit(&commit(seq, at(BEGIN_S + seq), &[(user(1, Some("ada")), bytes(1, 0))])).unwrap();
        }
    };
    // The service uses the account that a person created.
    Editor::open(&path).unwrap().correct(&correction(0)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut editor = Editor::open(&path).unwrap();
            for _ in 0..EACH {
                editor.correct(&correction(1)).unwrap();
            }
        });
        reports(&mut book, 1);
    });
    reports(&mut book, EACH + 1);
    assert_eq!(number(&book, "SELECT sum(sent) FROM correction"), EACH.cast_signed());
    assert_eq!(number(&book, "SELECT sum(sent) FROM day"), 2 * EACH.cast_signed());
    assert_eq!(number(&book, "SELECT count(*) FROM account"), 1);
}

#[test]
fn who_adds_to_a_book_needs_one_and_leaves_its_lock_alone() {
    let (_folder, path) = folder();
    assert!(Editor::open(&path).is_err());
    assert!(!path.exists());
    drop(open(&path));
    let mut editor = Editor::open(&path).unwrap();
    // A service can start in between.
    let (book, _) = open(&path);
    editor.correct(&correction(5)).unwrap();
    drop(book);
    drop(editor);
    // The files that unprivileged readers need remain.
    assert!(beside(&path, "-wal").exists() && beside(&path, "-shm").exists());
}

/// An imported log had the name, and the directory gives it to the service later: this must never keep a report out.
#[test]
fn names_that_come_late_meet_those_of_an_imported_log() {
    let log = |editor: &mut Editor| {
        let import = Import { zone: &TimeZone::UTC, by_uid: 0, now: at(BEGIN_S) };
        let moved = vec![Moved { account: user(7, Some("ada")), bytes: bytes(5, 0) }];
        let report = LoggedReport { epoch: 1, seq: 1, start: at(BEGIN_S - 120), end: at(BEGIN_S - 60), moved };
        editor.import(&import).book(&[report], &mut Imported::default()).unwrap();
    };
    for is_before in [true, false] {
        let (_folder, path) = folder();
        let (mut book, _) = open(&path);
        if is_before {
            log(&mut Editor::open(&path).unwrap());
        }
        book.commit(&commit(1, at(BEGIN_S + 1), &[(user(7, None), bytes(1, 0))])).unwrap();
        if !is_before {
            log(&mut Editor::open(&path).unwrap());
        }
        book.commit(&commit(2, at(BEGIN_S + 2), &[(user(7, Some("ada")), bytes(1, 0))])).unwrap();
        assert_eq!(number(&book, "SELECT sum(sent) FROM day"), 7);
        assert_eq!(number(&book, "SELECT count(*) FROM account WHERE user IS NULL"), 0, "{is_before}");
    }
}

/// Check and insertion are one transaction: otherwise two corrections at once could take away the same bytes.
#[test]
fn corrections_at_once_take_away_no_more_than_there_is() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    book.commit(&commit(1, at(BEGIN_S + 1), &[(user(1, Some("ada")), bytes(100, 0))])).unwrap();
    let date = book.connection.query_row("SELECT date FROM day", [], |row| row.get::<_, String>(0)).unwrap();
    let new = NewCorrection { date: date.parse().unwrap(), ..correction(-60) };
    let taken = thread::scope(|scope| {
        let tries: Vec<_> =
            (0..6).map(|_| scope.spawn(|| Editor::open(&path).unwrap().correct(&new).unwrap())).collect();
        tries.into_iter().filter_map(|one| one.join().unwrap()).count()
    });
    assert_eq!((taken, number(&book, "SELECT sum(sent) FROM correction")), (1, -60));
}
