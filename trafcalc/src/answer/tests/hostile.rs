use super::*;
use crate::answer::{csv::csv, json::json, table::table};

const NAMES: [&str; 9] = [
    "\u{1b}[2J",
    "a\nb\rc\td",
    "\u{85}\u{2028}\u{2029}",
    "\u{202e}txt\u{2066}",
    "a,b\"c",
    "=cmd|' /C calc'!A0",
    "\u{feff}\u{7f}\u{9b}",
    " null ",
    "a;=1+1",
];

fn answer_of_names() -> Answer {
    let row = |name: &str| Row {
        part: 0..300,
        label: Label::One(Whose {
            kind: AccountKind::User,
            uid: None,
            user: Some(name.to_owned()),
            unit: Some(name.into()),
            program: Some(name.into()),
            class: Some(name.into()),
        }),
        figures: Figures::default(),
    };
    let gap = |name: &str| Gap { from: SystemTime::UNIX_EPOCH, to: system(times::at(1)), cause: name.to_owned() };
    Answer {
        period: 0..300,
        counted: 0..300,
        zone: TimeZone::UTC,
        billing_day: 1,
        by: vec![Dimension::User, Dimension::Unit, Dimension::Program],
        only: Only::default(),
        each: None,
        percentile: None,
        notes: Vec::new(),
        is_doubtful: false,
        rows: NAMES.map(row).to_vec(),
        total: Figures::default(),
        gaps: Gaps(NAMES[..5].iter().copied().map(gap).collect()),
        outside: Vec::new(),
        corrections: Vec::new(),
        closed: Vec::new(),
    }
}

fn is_harmless(text: &str) -> bool {
    !text.contains(|c: char| c != '\n' && crate::sinks::is_unsafe(c))
}

#[test]
fn no_name_drives_a_terminal_or_ends_a_line() {
    let answer = answer_of_names();
    let shown = table(&answer, true);
    assert!(is_harmless(&shown), "{shown:?}");
    // Heading, empty line, titles, rows, total, empty line, gaps.
    assert_eq!(shown.lines().count(), 2 + 1 + NAMES.len() + 1 + 1 + 1 + 5, "{shown}");
    let line = json(&answer);
    assert!(is_harmless(&line) && line.lines().count() == 1, "{line:?}");
    let lines = csv(&answer).replace("\r\n", "\n");
    assert!(is_harmless(&lines) && lines.lines().count() == 1 + NAMES.len() + 1 + 1 + 5, "{lines:?}");
}

#[test]
fn json_gives_names_back_as_they_were() {
    let document: serde_json::Value = serde_json::from_str(&json(&answer_of_names())).unwrap();
    let users: Vec<_> = document["rows"].as_array().unwrap().iter().map(|row| row["user"].as_str().unwrap()).collect();
    assert_eq!(users, NAMES);
}

#[test]
fn no_name_is_a_formula_or_another_field() {
    let lines = csv(&answer_of_names());
    assert!(lines.contains(r#","a,b""c","a,b""c","a,b""c",,,0,0,0,"#), "{lines}");
    assert!(lines.contains(",'=cmd|' /C calc'!A0,") && !lines.contains(",="), "{lines}");
    assert!(lines.contains(r#"," null ","#), "{lines}");
    assert!(lines.contains(r#","a;'=1+1","#) && !lines.contains(";="), "{lines}");
}

/// Shows rows of these users, whose uids start at 7; returns the names that are shown.
fn shown_users(users: &[&str]) -> Vec<String> {
    let mut answer = answer_of_names();
    answer.by = vec![Dimension::User];
    answer.rows.truncate(users.len());
    for ((row, user), uid) in answer.rows.iter_mut().zip(users).zip(7..) {
        let Label::One(whose) = &mut row.label else { panic!("there are others") };
        (whose.uid, whose.user) = (Some(uid), Some((*user).to_owned()));
    }
    let shown = table(&answer, true);
    let names = shown.lines().skip(3).take(users.len());
    names.map(|line| line.trim_end_matches([' ', '0']).to_owned()).collect()
}

#[test]
fn no_name_imitates_what_is_not_a_name() {
    let users = ["total", "(unattributed)", "(others: 3)", "-", "ada (9)", "a  b"];
    let told = [r#""total""#, r#""(unattributed)""#, r#""(others: 3)""#, r#""-""#, r#""ada (9)""#, r#""a  b""#];
    assert_eq!(shown_users(&users), told);
    let users = ["9", "9x", r"a\u0007", r#"a"b"#, "", "a b"];
    let told = ["9 (7)", "9x", r"a\\u0007", r#""a\"b""#, r#""""#, "a b"];
    assert_eq!(shown_users(&users), told);
    assert_eq!(shown_users(&["7"]), ["7"], "who has no name is booked by the number");
}

#[test]
fn of_users_with_one_name_the_table_has_the_numbers() {
    let mut answer = answer_of_names();
    answer.by = vec![Dimension::User];
    for (row, (uid, user)) in answer.rows.iter_mut().zip([(7, "ada"), (8, "ada"), (7, "bob"), (7, "bob")]) {
        let Label::One(whose) = &mut row.label else { panic!("there are others") };
        (whose.uid, whose.user) = (Some(uid), Some(user.to_owned()));
    }
    answer.rows.truncate(4);
    let shown = table(&answer, true);
    let names: Vec<_> = shown.lines().skip(3).take(4).map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(names, ["ada (7)", "ada (8)", "bob", "bob"]);
}
