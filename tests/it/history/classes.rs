//! Corrections where classes of networks were counted: each is of one class, so that answers by class stay right.

use super::*;

/// Of this day it is known what moved in which class; of the fifth nothing was counted by class.
const DAY: &str = "--day=2025-10-07";

fn case() -> Case {
    let mut case = Case::new();
    for (class, sent) in [("lan", 900), ("internet", 200)] {
        let (kind, uid, user) = (AccountKind::User, Some(1000), Some("ada".to_owned()));
        let account = AccountKey { kind, uid, user, program: None, unit: None, class: Some(class.into()) };
        case.moved_of("2025-10-07T10:00:00Z", account, sent, 0);
    }
    case
}

fn correct<'a>(day: &'a str, sent: &'a str, class: &'a [&'a str]) -> Vec<&'a str> {
    [&["correct", "--user=ada", day, sent, "--reason=backup"], class].concat()
}

#[test]
fn a_correction_changes_the_figures_of_its_class_alone() {
    let case = case();
    let told = case.printed(&correct(DAY, "--sent=-150", &["--class=internet"]));
    assert_eq!(told, "correction 1: ada (internet), 2025-10-07: sent -150, received +0 bytes\n");
    let by_class = [row("lan", 900, 0), row("internet", 50, 0), row("total", 950, 0)];
    assert_eq!(case.figures(&[DAY, "--by=class"]), by_class);
    assert_eq!(case.figures(&[DAY, "--class=internet"]), [row("ada", 50, 0), row("total", 50, 0)]);
    assert_eq!(case.figures(&[DAY, "--class=lan"]), [row("ada", 900, 0), row("total", 900, 0)]);
    let config = case.path("trafcalc.toml");
    std::fs::write(&config, "[[class]]\nname = 'lan'\nnetworks = ['10.0.0.0/8']\nbilled = false\n").unwrap();
    let config = format!("--config={}", config.display());
    case.printed(&correct(DAY, "--sent=-800", &["--class=lan"]));
    let billed = [DAY, "--billed", &config];
    assert_eq!(case.figures(&billed), [row("ada", 50, 0), row("total", 50, 0)], "of lan nothing is billed");
    let table = case.printed(&[&["report", "--bytes"], &billed[..]].concat());
    assert!(table.contains("1 correction is in these figures"), "{table}");
    assert!(table.contains("2025-10-07: ada (internet) -150 sent: backup (no. 1)\n"), "{table}");
    assert!(table.contains("What was counted without a class is billed."), "{table}");
}

#[test]
fn where_classes_were_counted_one_is_asked_for() {
    let case = case();
    let asked = "the traffic of 2025-10-07 was counted by class: name the class to correct, as in --class internet or --class lan";
    case.refused(64, asked, &correct(DAY, "--sent=-1", &[]));
    // The fifth has no classes.
    case.printed(&correct("--day=2025-10-05", "--sent=-5000", &[]));
    let more = "ada (lan) sent 900 bytes on 2025-10-07, with all corrections: 901 bytes cannot be taken away";
    case.refused(64, more, &correct(DAY, "--sent=-901", &["--class=lan"]));
    case.refused(
        64,
        "no class \"lam\" in the book; did you mean \"lan\"?",
        &correct(DAY, "--sent=-1", &["--class=lam"]),
    );
    // A part of the day on which the classes came may have none.
    let none = "ada (no class) sent 0 bytes on 2025-10-07";
    case.refused(64, none, &correct(DAY, "--sent=-1", &["--class=-"]));
    let told = case.printed(&correct(DAY, "--sent=+7", &["--class=-"]));
    assert_eq!(told, "correction 2: ada, 2025-10-07: sent +7, received +0 bytes\n");
    let by_class = [row("lan", 900, 0), row("internet", 200, 0), row("-", 7, 0), row("total", 1_107, 0)];
    assert_eq!(case.figures(&[DAY, "--by=class"]), by_class);
}

#[test]
fn exports_and_closed_months_have_the_class() {
    let case = case();
    case.printed(&correct(DAY, "--sent=-150", &["--class=internet"]));
    let csv = case.printed(&["report", DAY, "--format=csv"]);
    let line = ",1000,ada,,,internet,,,-150,0,-150,backup\r\n";
    assert!(csv.contains("\r\ncorrection,") && csv.contains(line), "{csv}");
    let json: Value = serde_json::from_str(&case.printed(&["report", DAY, "--format=json"])).unwrap();
    assert_eq!(json["corrections"][0]["class"], "internet");
    let export = case.printed(&["history", "export", "--format=csv"]);
    let line = "correction,,1,2025-10-07,2025-10-07,5,1000,ada,,,internet,,-150,0,backup\r\n";
    assert!(export.contains(line), "{export}");
    case.printed(&["close", "--month=2025-10"]);
    case.printed(&["history", "check"]);
    // The class is a part of the text that is hashed.
    let book = Connection::open(case.path("book.db")).unwrap();
    let sql = "UPDATE correction SET account = (SELECT id FROM account WHERE class = 'lan')";
    assert_eq!(book.execute(sql, []).unwrap(), 1);
    assert_eq!(case.run(&["history", "check"]).status.code(), Some(1));
}
