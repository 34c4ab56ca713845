use super::*;

fn tell(book: &mut Book, seq: u64) {
    let report = commit(seq, at(BEGIN_S), &[]);
    book.commit(&Commit { records: Some(format!("report {seq}\n")), ..report }).unwrap();
}

fn waiting(book: &Book, sink: &str) -> Vec<(i64, u64)> {
    book.outbox(sink, 100).unwrap().iter().map(|outgoing| (outgoing.epoch, outgoing.seq)).collect()
}

fn mark(epoch: i64, seq: u64) -> Mark {
    Mark { epoch, seq, note: format!("note {seq}") }
}

#[test]
fn every_sink_has_every_report_in_order_and_none_twice() {
    let (_folder, path) = folder();
    let both = Opening { sinks: &["log", "slow"], ..opening(&path) };
    let (mut book, Opened { epoch, .. }) = Book::open(&both).unwrap();
    for seq in [1, 2, 10] {
        tell(&mut book, seq);
    }
    assert_eq!(book.mark("log").unwrap(), None);
    let first = Outgoing { epoch, seq: 1, records: "report 1\n".to_owned() };
    assert_eq!(book.outbox("log", 1).unwrap(), [first]);
    book.told("log", &mark(epoch, 2)).unwrap();
    assert_eq!(waiting(&book, "log"), [(epoch, 10)]);
    assert_eq!(waiting(&book, "slow"), [(epoch, 1), (epoch, 2), (epoch, 10)]);
    book.told("slow", &mark(epoch, 1)).unwrap();
    assert_eq!(number(&book, "SELECT count(*) FROM outbox"), 2, "what all have told is gone");
    book.told("log", &mark(epoch, 1)).unwrap();
    assert_eq!(book.mark("log").unwrap(), Some(mark(epoch, 2)), "a cursor never goes back");
    drop(book);

    let (mut book, Opened { epoch: next, .. }) = Book::open(&both).unwrap();
    tell(&mut book, 1);
    assert_eq!(waiting(&book, "log"), [(epoch, 10), (next, 1)]);
    assert_eq!(waiting(&book, "slow"), [(epoch, 2), (epoch, 10), (next, 1)]);
    assert_eq!(book.mark("log").unwrap(), Some(mark(epoch, 2)));
}

#[test]
fn who_is_gone_keeps_nothing_and_who_is_new_begins_now() {
    let (_folder, path) = folder();
    let (mut book, Opened { epoch, .. }) = Book::open(&Opening { sinks: &["log", "gone"], ..opening(&path) }).unwrap();
    tell(&mut book, 1);
    tell(&mut book, 2);
    book.told("log", &mark(epoch, 1)).unwrap();
    drop(book);
    let (mut book, Opened { epoch: next, .. }) =
        Book::open(&Opening { sinks: &["log", "new"], ..opening(&path) }).unwrap();
    assert_eq!(number(&book, "SELECT count(*) FROM outbox"), 1);
    assert_eq!((waiting(&book, "log"), waiting(&book, "new")), (vec![(epoch, 2)], vec![]));
    tell(&mut book, 0);
    assert_eq!((waiting(&book, "new"), book.mark("new").unwrap()), (vec![(next, 0)], None));
    assert!(matches!(book.told("gone", &mark(next, 0)), Err(BookError::UnknownSink { .. })));
    assert_eq!(waiting(&book, "gone"), []);
    drop(book);
    let (mut book, _) = Book::open(&Opening { sinks: &[], ..opening(&path) }).unwrap();
    tell(&mut book, 1);
    assert_eq!(number(&book, "SELECT count(*) FROM outbox"), 0, "nothing is kept for nobody");
}
