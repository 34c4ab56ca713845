use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::Uid;

use super::*;

/// Reports until one fails; the next one has the sums of both.
fn fill(book: &mut Book, make_room: impl FnOnce(&Book)) {
    let mut seq = 0;
    let mut truth = Bytes::default();
    let report = |seq: u64, moved: u64| {
        let accounts: Vec<_> = (0..200).map(|uid| (user(uid, Some("somebody")), bytes(moved, 1))).collect();
        let baseline = Baseline { map: "map".into(), rows: vec![(1, bytes(seq, seq))] };
        // In other five minutes each time, so that rows are added.
        let report = commit(seq, at(BEGIN_S + 300 * seq), &accounts);
        Commit { baseline: Some(baseline), records: Some("x".repeat(1000)), ..report }
    };
    let failed = loop {
        seq += 1;
        assert!(seq < 10_000, "the disk is never full");
        match book.commit(&report(seq, seq)) {
            Ok(()) => truth += bytes(200 * seq, 200),
            Err(error) => break error,
        }
    };
    assert_eq!(failed.trouble(), Trouble::DiskFull, "{failed}");
    assert!(failed.to_string().contains("full"), "{failed}");
    assert_all_sums(book, truth);
    assert_eq!(book.commit(&report(seq, seq)).unwrap_err().trouble(), Trouble::DiskFull);
    make_room(book);
    let both = report(seq + 1, seq + seq + 1);
    book.commit(&both).unwrap();
    truth += bytes(200 * (seq + seq + 1), 200);
    assert_all_sums(book, truth);
    let rows = "SELECT sent FROM baseline";
    assert_eq!(number(book, rows), i64::try_from(seq + 1).unwrap());
    assert_eq!(number(book, "SELECT count(*) FROM outbox"), i64::try_from(seq).unwrap());
}

#[test]
fn a_report_that_finds_no_room_is_made_good_by_the_next() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let pages = number(&book, "PRAGMA page_count") + 50;
    number(&book, &format!("PRAGMA max_page_count = {pages}"));
    fill(&mut book, |book| assert_eq!(number(book, "PRAGMA max_page_count = 100000"), 100_000));
    drop(book);
    assert_eq!(open(&path).1.set_aside, None);
}

#[test]
fn so_it_is_on_a_disk_that_is_full() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can mount a small disk");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let none: Option<&str> = None;
    if let Err(error) = mount(none, folder.path(), Some("tmpfs"), MsFlags::empty(), Some("size=2M")) {
        eprintln!("skipped: no small disk can be mounted: {error}");
        return;
    }
    let path = folder.path().join("book.db");
    let outcome = std::panic::catch_unwind(|| {
        let (mut book, _) = open(&path);
        fill(&mut book, |_| {
            mount(none, folder.path(), none, MsFlags::MS_REMOUNT, Some("size=20M")).unwrap();
        });
        drop(book);
        assert_eq!(open(&path).1.set_aside, None);
        mount(none, folder.path(), none, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none).unwrap();
        let error = Book::open(&opening(&path)).err().unwrap();
        assert_eq!(error.trouble(), Trouble::ReadOnly, "{error}");
    });
    umount2(folder.path(), MntFlags::MNT_DETACH).unwrap();
    outcome.unwrap();
}
