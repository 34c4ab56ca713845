//! `trafcalc alert`: a command is run once for each record that is to be told.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use super::support::{stderr, trafcalc};

/// A folder with a command that notes what it is told.
struct Case(tempfile::TempDir);

const QUOTA: &str =
    "type=quota time=2026-11-26T10:00:00.000Z epoch=7 seq=3 quota=\"a b\" percent=80 used_bytes=81 limit_bytes=100\n";
const GAP: &str =
    "{\"type\":\"gap\",\"time\":\"2026-11-26T10:01:00.000Z\",\"epoch\":7,\"seq\":4,\"cause\":\"$(touch x)\\u0000\"}\n";
const SUMMARY: &str = "type=summary time=2026-11-26T10:00:00.000Z epoch=7 seq=3\n";

impl Case {
    fn new() -> Self {
        let case = Self(tempfile::tempdir().unwrap());
        case.script(
            "echo \"$1 $TRAFCALC_TYPE $TRAFCALC_SEQ $TRAFCALC_QUOTA$TRAFCALC_CAUSE\" >> \"$(dirname \"$0\")/told\"",
        );
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn script(&self, text: &str) {
        fs::write(self.path("command"), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(self.path("command"), Permissions::from_mode(0o755)).unwrap();
    }

    fn append(&self, text: &str) {
        let mut log = OpenOptions::new().append(true).create(true).open(self.path("traffic")).unwrap();
        log.write_all(text.as_bytes()).unwrap();
    }

    fn run(&self) -> Output {
        let mut command = trafcalc(&["alert", "--once", "--exec"]);
        command.arg(self.path("command")).arg("--log").arg(self.path("traffic"));
        command.arg("--state").arg(self.path("state")).args(["--", "an argument"]).output().unwrap()
    }

    /// What the command was told, once more.
    #[track_caller]
    fn told(&self) -> Vec<String> {
        let output = self.run();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        fs::read_to_string(self.path("told")).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_command_is_run_once_for_each_record_by_whichever_process() {
    let case = Case::new();
    case.append(QUOTA);
    assert_eq!(case.told(), [""; 0], "what was there before is not told");
    case.append(&format!("{SUMMARY}{}", QUOTA.replace("seq=3", "seq=5")));
    let mut expected = vec!["an argument quota 5 a b".to_owned()];
    assert_eq!(case.told(), expected);
    assert_eq!(case.told(), expected);
    // A log that is renamed while nobody reads it.
    case.append(GAP);
    fs::rename(case.path("traffic"), case.path("traffic.1")).unwrap();
    case.append(&QUOTA.replace("seq=3", "seq=6"));
    expected.extend(["an argument gap 4 $(touch x)\u{fffd}".to_owned(), "an argument quota 6 a b".to_owned()]);
    assert_eq!(case.told(), expected);
    assert!(!case.path("x").exists(), "there is no shell");
    // What was told is not told again where the log is cut back.
    case.append(SUMMARY);
    assert_eq!(case.told(), expected);
    OpenOptions::new().write(true).open(case.path("traffic")).unwrap().set_len(QUOTA.len() as u64).unwrap();
    assert_eq!(case.told(), expected);
}

#[test]
fn a_command_that_fails_is_run_again() {
    let case = Case::new();
    case.script("cd \"$(dirname \"$0\")\"; [ -e failed ] && { echo done >> told; exit 0; }; touch failed; exit 3");
    case.append(SUMMARY);
    case.told();
    case.append(QUOTA);
    assert_eq!(case.told(), ["done"]);
    assert_eq!(case.told(), ["done"]);
}

#[test]
fn a_stream_is_told_to_its_end() {
    let case = Case::new();
    let mut command = trafcalc(&["alert", "--log=-", "--exec"]);
    let mut child = command.arg(case.path("command")).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{QUOTA}{SUMMARY}rubbish\n{GAP}").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let told = fs::read_to_string(case.path("told")).unwrap();
    assert_eq!(told, " quota 3 a b\n gap 4 $(touch x)\u{fffd}\n");
}

#[test]
fn what_cannot_be_done_is_told_at_the_start() {
    let case = Case::new();
    case.append(SUMMARY);
    let none = trafcalc(&["alert", "--once", "--exec", "/nonexistent/command", "--log=-"]).output().unwrap();
    assert_eq!(none.status.code(), Some(64), "{}", stderr(&none));
    fs::create_dir(case.path("state")).unwrap();
    let output = case.run();
    assert!(output.status.code() == Some(74), "{}", stderr(&output));
}
