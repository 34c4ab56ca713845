//! `trafcalc selftest` of a backend that was broken on purpose: another exit code, and the scenarios are named.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::selftest::{command, said};
use super::{Scenario, Test};

pub(super) const SCENARIO: Scenario = Scenario::new("selftest_broken", run).behind_the_hooks();

fn run(test: &Test) -> Result<()> {
    let output = command(test).env("TRAFCALC_TEST_BREAK", "1").output().context("cannot run trafcalc")?;
    let said = said(&output);
    ensure!(output.status.code() == Some(70), "{} {said}", output.status);
    let verdict: Value = serde_json::from_slice(&output.stdout).with_context(|| said.clone())?;
    let results = verdict["results"].as_array().context("no results")?;
    let is_wrong = |name: &str| {
        results.iter().any(|result| result["scenario"] == name && result["difference"].as_i64().is_some_and(|d| d != 0))
    };
    ensure!(verdict["exact"] == false && is_wrong("short connections") && is_wrong("peek"), "{said}");
    Ok(())
}
