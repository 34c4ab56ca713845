//! Whoever takes over a process that has given up its privileges can neither execute, write elsewhere, load a program nor open a raw
//! socket, whichever thread he has.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{Scenario, Test};
use crate::target::Target;

/// Once: it depends on no backend.
pub(super) const SCENARIO: Scenario = Scenario::new("hijacked", run).targets(|target| target == Target::Packet);

/// What goes on working.
const ALLOWED: [&str; 2] = ["write where it may", "open a socket"];
/// What Landlock refuses, which older kernels have not; the filter of system calls refuses all else.
const OF_LANDLOCK: [&str; 2] = ["write elsewhere", "write over a file of the system"];

fn run(_: &Test) -> Result<()> {
    let around = TempDir::with_prefix("trafcalc-hijacked-")?;
    let folder = around.path().join("folder");
    std::fs::create_dir(&folder)?;
    let output = Command::new(std::env::current_exe()?).arg("hijacked").arg(&folder).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout)?;
    let told = said["told"].as_str().unwrap_or_default();
    println!("hijacked: {told}: {}", said["first"]);
    ensure!(told.starts_with("none kept, user root, as this is a test; seccomp, "), "{told}");
    let has_landlock = told.ends_with(", landlock");
    for thread in ["first", "other"] {
        let outcomes = said[thread].as_object().into_iter().flatten();
        ensure!(outcomes.clone().count() > 10, "{said}");
        for (what, outcome) in outcomes {
            let is_refused = outcome != "";
            let is_of_landlock = OF_LANDLOCK.contains(&&**what);
            if is_of_landlock && !has_landlock {
                continue;
            }
            ensure!(is_refused != ALLOWED.contains(&&**what), "{what} ({thread} thread): {outcome:?}");
            let reason = if is_of_landlock { "Permission denied" } else { "Operation not permitted" };
            ensure!(!is_refused || outcome.as_str().is_some_and(|it| it.starts_with(reason)), "{what}: {outcome}");
        }
    }
    ensure!(has_landlock || std::fs::exists(around.path().join("folder.first"))?, "nothing was tried");
    Ok(())
}
