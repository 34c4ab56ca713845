use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::unistd::Uid;
use rusqlite::OpenFlags;

use super::super::schema::{APPLICATION_ID, migrate};
use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_book_that_is_no_book_is_set_aside_and_kept() {
    let sound = {
        let (_folder, path) = folder();
        let (mut book, _) = open(&path);
        for seq in 0..400 {
            book.commit(&commit(
                seq,
                at(BEGIN_S),
                &[(user(u32::try_from(seq).unwrap(), Some("some name")), bytes(1, 1))],
            ))
            .unwrap();
        }
        drop(book);
        fs::read(&path).unwrap()
    };
    let mut holed = sound.clone();
    holed[8192..40_000].fill(0xa5);
    let cases = [b"no book\n".to_vec(), vec![b'x'; 100_000], sound[..sound.len() / 2].to_vec(), holed];
    for (case, damaged) in cases.into_iter().enumerate() {
        let (_folder, path) = folder();
        fs::write(&path, &damaged).unwrap();
        let opened = open(&path).1;
        let aside = opened.set_aside.unwrap_or_else(|| panic!("case {case} was taken for a book"));
        assert_eq!(aside.path, beside(&path, ".corrupt-20261126T010000Z"));
        assert!(fs::read(&aside.path).unwrap() == damaged, "case {case}: {}", aside.why);
        assert_eq!(opened.totals, []);
        // Again in the same second.
        fs::write(&path, "again").unwrap();
        let again = open(&path).1.set_aside.unwrap();
        assert_eq!(again.path, beside(&path, ".corrupt-20261126T010000Z.1"));
        assert!(fs::read(&aside.path).unwrap() == damaged);
    }
}

/// A book that is too large to be checked before it is used. If `table` exists, its first page is broken.
fn large_and_broken(path: &Path, table: &str) {
    let (mut book, _) = open(path);
    for seq in 1..=18 {
        let report = commit(seq, at(BEGIN_S), &[(user(1, None), bytes(1, 1))]);
        book.commit(&Commit { records: Some("x".repeat(1 << 20)), ..report }).unwrap();
    }
    let page = number(&book, &format!("SELECT ifnull(max(rootpage), 0) FROM sqlite_schema WHERE name = '{table}'"));
    book.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(book);
    if page == 0 {
        return;
    }
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[0xa5; 4096], (page.unsigned_abs() - 1) * 4096).unwrap();
}

#[test]
fn a_large_book_is_read_through_while_it_is_used() {
    let (_folder, path) = folder();
    large_and_broken(&path, "past_fine");
    let (book, opened) = open(&path);
    assert_eq!((opened.set_aside, opened.totals), (None, vec![(user(1, None), bytes(18, 18))]));
    let why = book.unchecked().unwrap().expect("it is large").read_through().unwrap().expect("it is damaged");
    let aside = book.put_aside(at(BEGIN_S), why).unwrap();
    assert!(fs::metadata(&aside.path).unwrap().len() > 16 << 20 && !path.exists(), "{aside}");
    let (book, _) = open(&path);
    assert!(book.unchecked().unwrap().is_none());
}

/// The first connection of a process to a book truncates its `-shm` file, which other connections of that book have
/// mapped.
#[test]
fn what_reads_through_a_book_that_is_set_aside_leaves_the_next_one_alone() {
    let (_folder, path) = folder();
    large_and_broken(&path, "past_fine");
    let (book, _) = open(&path);
    let check = book.unchecked().unwrap().expect("it is large");
    book.put_aside(at(BEGIN_S), "a test".to_owned()).unwrap();
    let (mut book, _) = open(&path);
    book.commit(&commit(1, at(BEGIN_S), &[(user(1, None), bytes(1, 1))])).unwrap();
    assert!(check.read_through().unwrap().is_some());
    assert!(fs::metadata(beside(&path, "-shm")).unwrap().len() >= 32_768);
    book.commit(&commit(2, at(BEGIN_S + 60), &[(user(1, None), bytes(1, 1))])).unwrap();
    assert_all_sums(&book, bytes(2, 2));
}

#[test]
fn a_large_book_of_which_the_start_reads_a_broken_page_is_set_aside_at_once() {
    let (_folder, path) = folder();
    large_and_broken(&path, "past_total");
    let (_book, opened) = open(&path);
    assert!(opened.set_aside.is_some());
    assert_eq!(opened.totals, []);
}

#[test]
fn what_a_removed_book_left_beside_it_does_no_harm() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    book.commit(&commit(1, at(BEGIN_S), &[(user(1, None), bytes(1, 1))])).unwrap();
    fs::remove_file(&path).unwrap();
    // As after a kill: nothing is cleaned up.
    let log = fs::read(beside(&path, "-wal")).unwrap();
    drop(book);
    fs::write(beside(&path, "-wal"), log).unwrap();
    let opened = open(&path).1;
    assert_eq!((opened.totals, opened.set_aside), (vec![], None));
}

#[test]
fn a_book_is_safe_from_a_loss_of_power() {
    let (_folder, path) = folder();
    let (book, _) = open(&path);
    assert_eq!(number(&book, "PRAGMA synchronous"), 2);
    let mode: String = book.connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn a_book_that_breaks_while_it_is_open_says_so_and_is_set_aside_by_the_next() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    for seq in 0..400 {
        book.commit(&commit(seq, at(BEGIN_S), &[(user(u32::try_from(seq).unwrap(), Some("some name")), bytes(1, 1))]))
            .unwrap();
    }
    drop(book);
    let (mut book, _) = open(&path);
    let length = fs::metadata(&path).unwrap().len();
    book.connection.pragma_update(None, "cache_size", 0).unwrap();
    book.connection.release_memory().unwrap();
    fs::write(&path, vec![0xa5; usize::try_from(length).unwrap()]).unwrap();
    let error = book.commit(&commit(0, at(BEGIN_S), &[(user(1, Some("some name")), bytes(1, 1))])).unwrap_err();
    assert_eq!(error.trouble(), Trouble::Corrupt, "{error}");
    drop(book);
    assert!(open(&path).1.set_aside.is_some());
}

#[test]
fn what_others_wrote_is_left_alone() {
    let (_folder, path) = folder();
    drop(open(&path));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let newer = Book::open(&opening(&path)).err().unwrap();
    assert!(matches!(newer, BookError::Newer { found: 99, known: 1, .. }), "{newer}");
    assert_eq!(newer.trouble(), Trouble::NotOurs);
    let (_folder, path) = folder();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs(a); INSERT INTO theirs VALUES(1)").unwrap();
    let before = fs::read(&path).unwrap();
    let foreign = Book::open(&opening(&path)).err().unwrap();
    assert!(matches!(foreign, BookError::Foreign { .. }), "{foreign}");
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn a_second_service_is_refused_until_the_first_has_ended() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let refused = Book::open(&opening(&path)).err().unwrap();
    assert_eq!(
        (refused.trouble(), refused.to_string().contains("in use by another trafcalc")),
        (Trouble::Locked, true)
    );
    book.commit(&commit(1, at(BEGIN_S), &[])).unwrap();
    // Another process writes: an error after a second, and then work continues.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = book.commit(&commit(2, at(BEGIN_S), &[])).unwrap_err();
    assert_eq!(error.trouble(), Trouble::Locked, "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    book.commit(&commit(2, at(BEGIN_S), &[])).unwrap();
    drop(book);
    open(&path);
}

#[test]
fn a_reader_holds_up_no_report() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let reader = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM total").unwrap();
    book.commit(&commit(1, at(BEGIN_S), &[(user(1, None), bytes(1, 1))])).unwrap();
}

/// A book with the same version number, from before the first release.
#[test]
fn a_book_of_another_layout_is_left_alone_and_told_what_helps() {
    for change in
        ["ALTER TABLE epoch DROP COLUMN billing_day", "DROP TABLE late", "DROP VIEW hour; CREATE VIEW hour AS SELECT 1"]
    {
        let (_folder, path) = folder();
        drop(open(&path));
        let other = Connection::open(&path).unwrap();
        other.execute_batch(change).unwrap();
        let refused = Book::open(&opening(&path)).err().unwrap();
        assert!(matches!(refused, BookError::OtherLayout { .. }), "{change}: {refused}");
        assert_eq!(refused.trouble(), Trouble::NotOurs);
        for refused in [Reader::open(&path).err().unwrap(), Editor::open(&path).err().unwrap()] {
            assert!(refused.to_string().contains("a build before the first release made it"), "{change}: {refused}");
        }
    }
    let (_folder, path) = folder();
    drop(open(&path));
    Connection::open(&path).unwrap().execute_batch("CREATE VIEW mine AS SELECT * FROM day; ANALYZE").unwrap();
    assert_eq!(open(&path).1.set_aside, None, "what others add to a book is theirs");
}

/// Writes the JSON of a five-minute row.
fn write_fine(path: &Path, text: &str) {
    Connection::open(path).unwrap().execute("INSERT OR REPLACE INTO past_fine VALUES(300, ?1)", [text]).unwrap();
}

#[test]
fn five_minutes_that_are_not_what_was_written_are_damage() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    book.commit(&commit(1, at(BEGIN_S), &[(user(1, None), bytes(1, 1))])).unwrap();
    drop(book);
    assert_eq!(Reader::open(&path).unwrap().damage().unwrap(), Vec::<String>::new());
    write_fine(&path, "[[1,2,3],[98,2,3],[99,2,3]]");
    let unknown = ["2 figures of fine are of an account that is not there"];
    assert_eq!(Reader::open(&path).unwrap().damage().unwrap(), unknown);
    let other = Connection::open(&path).unwrap();
    other.execute("INSERT INTO past_day VALUES('2026-11-01', 97, 1, 1)", []).unwrap();
    let damage = Reader::open(&path).unwrap().damage().unwrap();
    assert_eq!(damage[1..], ["1 figures of past_day are of an account that is not there"]);
    write_fine(&path, "[[1,2,3],[");
    let damage = Reader::open(&path).unwrap().damage().unwrap();
    assert!(damage[0].contains("the accounts of the five minutes at 300 are not what was written"), "{damage:?}");
    let aside = open(&path).1.set_aside.expect("the next start sets it aside");
    assert!(aside.why.contains("five minutes at 300"), "{aside}");
    // A book that is too large to be checked at the start.
    let (_folder, path) = folder();
    large_and_broken(&path, "no table");
    write_fine(&path, "[[1,2]]");
    let (book, opened) = open(&path);
    assert_eq!(opened.set_aside, None);
    let why = book.unchecked().unwrap().expect("it is large").read_through().unwrap().expect("it is damaged");
    assert!(why.contains("five minutes at 300"), "{why}");
}

/// A book written by version 1 can be read, and a new one has the same tables: a released schema version is never
/// edited.
#[test]
fn schema_1_is_as_it_was_released() {
    let (_folder, path) = folder();
    let (_old_folder, old_path) = folder();
    let old = Connection::open(&old_path).unwrap();
    old.execute_batch(include_str!("schema_1_dump.sql")).unwrap();
    drop(old);
    let (new, _) = open(&path);
    let (mut old, opened) = open(&old_path);
    assert_eq!(opened.set_aside, None);
    let (program, unit, class) = (Some("sshd".into()), Some("ssh.service".into()), Some("lan".into()));
    let root = AccountKey { program, unit, class, ..user(0, Some("root")) };
    assert_eq!(opened.totals, [(user(1000, Some("ada")), bytes(100, 200)), (root, bytes(7, 0))]);
    assert_eq!(opened.baseline, Some(Baseline { map: "map 1".into(), rows: vec![(3, bytes(100, 200))] }));
    assert_eq!((opened.last.unwrap().seq, old.outbox("log", 9).unwrap().len()), (2, 1));
    old.commit(&commit(1, at(BEGIN_S), &[(user(1000, Some("ada")), bytes(1, 1))])).unwrap();
    assert_eq!(tables(&old.connection), tables(&new.connection));
    assert_eq!(number(&new, "PRAGMA user_version"), 1);
}

fn tables(book: &Connection) -> Vec<String> {
    let mut ask = book.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    ask.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn migrations_are_made_in_order_from_where_a_book_is_and_all_or_none() {
    let steps = ["CREATE TABLE a(x)", "INSERT INTO a VALUES(2)", "INSERT INTO a VALUES(3)"];
    let mut book = Connection::open_in_memory().unwrap();
    migrate(&mut book, 0, &steps[..1]).unwrap();
    let ask = |book: &Connection, sql: &str| book.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((ask(&book, "PRAGMA user_version"), ask(&book, "PRAGMA application_id")), (1, APPLICATION_ID));
    migrate(&mut book, 1, &[steps[0], steps[1], "no SQL"]).unwrap_err();
    assert_eq!((ask(&book, "PRAGMA user_version"), ask(&book, "SELECT count(*) FROM a")), (1, 0));
    migrate(&mut book, 1, &steps).unwrap();
    assert_eq!((ask(&book, "PRAGMA user_version"), ask(&book, "SELECT sum(x) FROM a")), (3, 5));
    migrate(&mut book, 3, &steps).unwrap();
    assert_eq!(ask(&book, "SELECT count(*) FROM a"), 2);
}

const READER: &str = "TRAFCALC_TEST_READ_BOOK";

/// A member of the group reads while the service runs, and after it has ended.
#[test]
fn the_group_may_read_a_book_and_nobody_else() {
    const GROUP: u32 = 54_321;
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("var/lib");
    let path = home.join("book.db");
    let (mut book, _) = open(&path);
    book.commit(&commit(1, at(BEGIN_S), &[(user(1, None), bytes(42, 1))])).unwrap();
    assert_eq!((mode(&home), mode(&path)), (0o750, 0o640));
    assert_eq!((mode(&beside(&path, "-wal")), mode(&beside(&path, "-shm"))), (0o640, 0o640));
    assert_eq!(mode(&beside(&path, "-lock")), 0o600);
    drop(book);
    assert!(beside(&path, "-wal").exists() && beside(&path, "-shm").exists());
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can read as somebody else");
        return;
    }
    for folder in [folder.path(), &folder.path().join("var")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    chown(&home, None, Some(GROUP)).unwrap();
    for end in ["", "-wal", "-shm"] {
        chown(beside(&path, end), None, Some(GROUP)).unwrap();
    }
    let reads = |group: u32| {
        let mut reader = Command::new("/proc/self/exe");
        reader.args(["--exact", "book::tests::files::reader", "--ignored"]).env(READER, &path);
        reader.uid(65_534).gid(group).output().unwrap().status.success()
    };
    assert_eq!((reads(GROUP), reads(GROUP + 1)), (true, false), "after a clean stop");
    let (mut book, _) = open(&path);
    book.commit(&commit(1, at(BEGIN_S), &[(user(1, None), bytes(1, 1))])).unwrap();
    assert_eq!((reads(GROUP), reads(GROUP + 1)), (true, false), "while it is written");
}

#[test]
#[ignore = "run by the test above, as another user"]
fn reader() {
    let Some(path) = std::env::var_os(READER) else { return };
    let book = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sent: i64 = book.query_row("SELECT sum(sent) FROM total", [], |row| row.get(0)).unwrap();
    assert!(sent >= 42);
    drop(book);
    let mut sent = 0;
    let all = 0..i64::from(u32::MAX);
    let reader = Reader::open(Path::new(&path)).unwrap();
    reader.rows(Tier::Day, &all, &TimeZone::UTC, |_, _, bytes| sent += bytes.sent).unwrap();
    assert!(sent >= 42);
}
