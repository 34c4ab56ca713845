use super::*;

fn totals(path: &Path) -> Vec<(AccountKey, Bytes)> {
    open(path).1.totals
}

#[test]
fn a_uid_given_to_another_name_is_another_account() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    for (seq, name) in [(1, Some("ada")), (2, Some("bob")), (3, None), (4, Some("ada")), (5, None)] {
        book.commit(&commit(seq, at(BEGIN_S), &[(user(7, name), bytes(10_u64.pow(seq.try_into().unwrap()), 0))]))
            .unwrap();
    }
    drop(book);
    // Bytes without a name go to the last known user of the uid.
    let expected = [(user(7, Some("ada")), bytes(110_010, 0)), (user(7, Some("bob")), bytes(1100, 0))];
    assert_eq!(totals(&path), expected);
}

#[test]
fn the_first_name_of_a_uid_takes_what_waited_for_it() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let program = |name| AccountKey { program: Some("curl".into()), ..user(7, name) };
    book.commit(&commit(1, at(BEGIN_S), &[(user(7, None), bytes(1, 0)), (program(None), bytes(2, 0))])).unwrap();
    book.commit(&commit(2, at(BEGIN_S), &[(user(8, None), bytes(5, 0))])).unwrap();
    drop(book);
    let (mut book, opened) = open(&path);
    assert_eq!(opened.totals.len(), 3);
    // In any order within a report.
    let moved =
        [(user(7, None), bytes(10, 0)), (program(Some("ada")), bytes(20, 0)), (user(7, Some("ada")), bytes(0, 3))];
    book.commit(&commit(1, at(BEGIN_S), &moved)).unwrap();
    drop(book);
    let expected =
        [(user(7, Some("ada")), bytes(11, 3)), (program(Some("ada")), bytes(22, 0)), (user(8, None), bytes(5, 0))];
    assert_eq!(totals(&path), expected);
}

#[test]
fn a_name_that_was_learned_by_a_report_that_failed_is_not_believed() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    book.commit(&commit(1, at(BEGIN_S), &[(user(7, None), bytes(1, 0))])).unwrap();
    // It fails because the report's number is taken.
    book.commit(&commit(1, at(BEGIN_S), &[(user(7, Some("ada")), bytes(1, 0)), (user(9, None), bytes(1, 0))]))
        .unwrap_err();
    book.commit(&commit(2, at(BEGIN_S), &[(user(7, None), bytes(1, 0)), (user(9, None), bytes(4, 0))])).unwrap();
    drop(book);
    assert_eq!(totals(&path), [(user(7, None), bytes(2, 0)), (user(9, None), bytes(4, 0))]);
}

#[test]
fn accounts_of_nobody_and_strange_names_are_apart() {
    let (_folder, path) = folder();
    let (mut book, _) = open(&path);
    let nobody = |kind| AccountKey { kind, uid: None, user: None, program: None, unit: None, class: None };
    let mut keys =
        vec![nobody(AccountKind::Unattributed), nobody(AccountKind::Other), user(0, None), user(u32::MAX, None)];
    for name in ["", "0", "-1", "NULL", "it's \"; --", "ä\u{202e}"] {
        let named = AccountKey { program: Some(name.into()), ..user(5, Some(name)) };
        let swapped = AccountKey { program: None, unit: Some(name.into()), ..named.clone() };
        let both = AccountKey { unit: Some(name.into()), ..named.clone() };
        keys.extend([named, swapped, both]);
    }
    keys.extend([user(6, None), AccountKey { program: Some("".into()), ..user(6, None) }]);
    let moved: Vec<_> = keys.iter().zip(1..).map(|(key, sent)| (key.clone(), bytes(sent, 0))).collect();
    for seq in 1..=2 {
        book.commit(&commit(seq, at(BEGIN_S), &moved)).unwrap();
    }
    drop(book);
    let twice: Vec<_> = moved.into_iter().map(|(key, moved)| (key, bytes(moved.sent * 2, 0))).collect();
    assert_eq!(totals(&path), twice);
}
