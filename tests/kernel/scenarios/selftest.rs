//! `trafcalc selftest` finds every difference to be 0, and leaves no process behind.

use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Scenario, Test};
use crate::service;

pub(super) const SCENARIO: Scenario = Scenario::new("selftest", run);

/// Directions that are shown in each of the self-test's scenarios, and how many of those there are.
const NUMBERS: usize = 2 * 9;

fn run(test: &Test) -> Result<()> {
    let output = command(test).output().context("cannot run trafcalc")?;
    let said = said(&output);
    ensure!(output.status.code() == Some(0), "{} {said}", output.status);
    let verdict: Value = serde_json::from_slice(&output.stdout).with_context(|| said.clone())?;
    let results = verdict["results"].as_array().context("no results")?;
    ensure!(verdict["exact"] == true && results.len() == NUMBERS, "{said}");
    ensure!(results.iter().all(|result| result["truth"].as_u64() > Some(20_000)), "{said}");
    ensure!(results.iter().all(|result| result["truth"] == result["counted"]), "{said}");
    ensure!(traffic_programs()? == 0, "programs are left behind");
    Ok(())
}

/// `trafcalc selftest` of this target.
pub(super) fn command(test: &Test) -> Command {
    let mut command = Command::new(service::program());
    command.args(["selftest", "--json"]).args(test.target.arguments());
    command
}

/// What it printed.
pub(super) fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn traffic_programs() -> Result<usize> {
    let mut found = 0;
    for entry in std::fs::read_dir("/proc")? {
        // What is no process has no command line, and a process may end while we look.
        let command_line = std::fs::read(entry?.path().join("cmdline")).unwrap_or_default();
        found += usize::from(command_line.split(|&byte| byte == 0).nth(1) == Some(b"selftest-traffic"));
    }
    Ok(found)
}
