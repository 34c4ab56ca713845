//! Users and classes that are asked for and that the book does not have by this name.

use super::*;

const DAY: [&str; 2] = ["--day=2026-11-05", "--bytes"];

impl Case {
    /// Something moved for the number of the host's user `daemon`, whose name the book has as `user`.
    fn moved_by_uid_1(&self, user: Option<&str>, sent: u64) {
        let Moved { account, bytes } = moved(1, "", sent, 0);
        let account = AccountKey { user: user.map(str::to_owned), ..account };
        open(&self.book()).commit(&commit(1, "2026-11-05T10:01:00Z", vec![Moved { account, bytes }])).unwrap();
    }

    fn of_daemon(&self) -> String {
        self.printed(&[&DAY[..], &["--user=daemon"]].concat())
    }
}

#[test]
fn a_user_whose_name_the_book_does_not_know_yet_is_found_by_number() {
    let case = Case::new();
    case.moved_by_uid_1(None, 40);
    let told = case.of_daemon();
    assert!(told.contains("\ndaemon is in the book as uid 1, without a name.\n"), "{told}");
    assert!(told.contains("\n1        40         0     40\n"), "{told}");
    // Nobody else is.
    let told = case.printed(&[&DAY[..], &["--user=root"]].concat());
    assert!(told.contains("\nroot has no traffic in this book.\n") && !told.contains("\n1 "), "{told}");
}

#[test]
fn a_user_whose_number_has_another_name_in_the_book_is_told_so() {
    let case = Case::new();
    case.moved_by_uid_1(Some("former"), 40);
    let told = case.of_daemon();
    assert!(told.contains("\ndaemon has no traffic by this name: uid 1 is in the book as former.\n"), "{told}");
    assert!(!told.contains("40"), "{told}");
}

/// As the service notes it.
const SETTINGS: &str = r#"{"classes":["internet","lan"]}"#;

#[test]
fn a_class_that_has_moved_nothing_yet_has_no_traffic() {
    let case = Case::new();
    let sql = rusqlite::Connection::open(case.book()).unwrap();
    assert_eq!(sql.execute("UPDATE epoch SET settings = ?1", [SETTINGS]).unwrap(), 1);
    let told = case.printed(&["--month=2026-11", "--class=internet"]);
    assert!(told.contains("\nThe class internet has no traffic in this book.\n"), "{told}");
    let refused = case.command(&["--class=lam"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(64));
    assert!(stderr(&refused).contains(r#"no class "lam" in the book; did you mean "lan"?"#), "{}", stderr(&refused));
    let correct = ["correct", "--user=ada", "--day=2026-11-03", "--class=lan", "--sent=+5", "--reason=x", "--book"];
    let corrected = trafcalc(&correct).arg(case.book()).output().unwrap();
    assert_eq!(corrected.status.code(), Some(0), "{}", stderr(&corrected));
}
