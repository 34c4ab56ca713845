//! Names that users choose, as an administrator's terminal shows them. Those of users come from a directory, those of units and programs
//! from whoever starts them.

use super::*;

/// Moves a cursor, turns the direction of a text, and begins a line.
const NAME: &str = "eve\u{1b}[2J\u{202e}\nforged\r";
/// The same as it is shown.
const SHOWN: &str = r"eve\u001b[2J\u202e\u000aforged\u000d";

fn case() -> Case {
    let mut case = Case::new();
    case.moved_by("2025-12-01T10:01:00Z", 1005, Some(NAME), Some(NAME), 9, 0);
    let (kind, uid, user) = (AccountKind::User, Some(1005), Some(NAME.to_owned()));
    let account = AccountKey { kind, uid, user, program: Some(NAME.into()), unit: None, class: Some(NAME.into()) };
    case.moved_of("2025-12-02T10:01:00Z", account, 9, 0);
    case.moved_by("2025-12-03T10:01:00Z", 1005, Some("former\u{9b}"), None, 9, 0);
    case
}

/// What is said, and the number of lines.
#[track_caller]
fn said(case: &Case, args: &[&str]) -> String {
    let output = case.run(args);
    let said = stderr(&output) + &String::from_utf8(output.stdout).unwrap();
    let is_harmless =
        |c: char| c == '\n' || !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(said.chars().all(is_harmless), "{args:?}: {said:?}");
    assert!(!said.lines().any(|line| line.starts_with("forged")), "{args:?}: {said}");
    said
}

#[test]
fn no_name_drives_the_terminal_of_who_takes_care_of_the_book() {
    let case = case();
    let correct = |user: &str, day: &str, sent: &str, more: &[&str]| {
        said(&case, &[&["correct", "--user", user, "--day", day, sent, "--reason", NAME], more].concat())
    };
    let ambiguous = correct("1005", "2025-12-01", "--sent=1", &[]);
    assert!(ambiguous.contains("name one of them") && ambiguous.contains(SHOWN), "{ambiguous}");
    let done = correct(NAME, "2025-12-01", "--sent=1", &[]);
    assert!(done.starts_with(&format!("correction 1: {SHOWN}, ")), "{done}");
    let no_class = correct(NAME, "2025-12-02", "--sent=1", &[]);
    assert!(no_class.contains(&format!("--class {SHOWN}")), "{no_class}");
    let too_much = correct(NAME, "2025-12-01", "--sent=-99", &[]);
    assert!(too_much.contains(&format!("{SHOWN} sent 10 bytes")), "{too_much}");
    let classed = correct(NAME, "2025-12-02", "--sent=1", &["--class", NAME]);
    assert!(classed.contains(&format!("{SHOWN} ({SHOWN})")), "{classed}");
    for unknown in ["evf", "eve\u{1b}[2J\u{202e}\nforgee\r"] {
        correct(unknown, "2025-12-01", "--sent=1", &[]);
        for option in ["--user", "--unit", "--program", "--class"] {
            said(&case, &["report", "--day=2025-12-01", option, unknown]);
        }
    }
    said(&case, &["report", "--month=2025-12", "--by=user,unit,program,class"]);
    said(&case, &["report", "--day=2025-12-01", "--user", NAME]);
    said(&case, &["history", "check"]);
    said(&case, &["history", "import-log", NAME]);
    said(&case, &["history", "backup", "/nonexistent/\u{1b}]0;x\u{7}"]);
    said(&case, &["history", "export"]);
    let config = "/nonexistent/\u{1b}[2J\u{202e}";
    said(&case, &["quota", "--config", config]);
    said(&case, &["close", "--month=2025-11", "--config", config]);
}
