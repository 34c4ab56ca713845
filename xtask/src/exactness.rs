//! The table of exactness: on which kernels each scenario of tests/kernel was counted exactly to the byte. It is made
//! from the output of the tests, so it shows only what was measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use crate::shell;

/// The targets of tests, as the tests and the table name them.
const TARGETS: [&str; 4] = ["ebpf:fentry", "ebpf:kprobe", "ebpf:tracepoint", "packet"];

/// For each scenario and target, the kernels, and whether all of the scenario passed there.
type Cells = BTreeMap<(String, &'static str), BTreeMap<String, bool>>;

/// The results so far.
#[derive(Default)]
pub(crate) struct Exactness(Cells);

impl Exactness {
    /// Takes a line of the tests' output on this kernel.
    pub(crate) fn note(&mut self, kernel: &str, line: &str) {
        let Some((target, scenario, is_exact)) = result(line) else { return };
        let kernels = self.0.entry((scenario.to_owned(), target)).or_default();
        *kernels.entry(kernel.to_owned()).or_insert(true) &= is_exact;
    }

    /// Writes the table of trafcalc/docs/exactness.md below target/, as Markdown.
    pub(crate) fn write(&self) -> Result<()> {
        let path = shell::workspace().join("target/exactness.md");
        fs::write(&path, self.markdown()).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}: the scenarios that were exact, and where", path.display());
        Ok(())
    }

    fn markdown(&self) -> String {
        let mut text = String::from("| scenario | fentry | kprobe | tracepoint | packet |\n|---|---|---|---|---|\n");
        let mut scenarios: Vec<&str> = self.0.keys().map(|(scenario, _)| scenario.as_str()).collect();
        scenarios.dedup();
        for scenario in scenarios {
            let cells = TARGETS.map(|target| self.cell(scenario, target));
            let _ = writeln!(text, "| {} | {} |", title(scenario), cells.join(" | "));
        }
        text
    }

    fn cell(&self, scenario: &str, target: &'static str) -> String {
        let Some(kernels) = self.0.get(&(scenario.to_owned(), target)) else { return String::new() };
        let told =
            kernels.iter().map(|(kernel, is_exact)| format!("{kernel}{}", if *is_exact { "" } else { " WRONG" }));
        told.collect::<Vec<_>>().join(", ")
    }
}

/// Target, scenario and result of a line such as `test packet::peek::ipv4 ... ok`.
fn result(line: &str) -> Option<(&'static str, &str, bool)> {
    let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let is_exact = match outcome.trim() {
        "ok" => true,
        "FAILED" => false,
        _ => return None,
    };
    let target = TARGETS.into_iter().find(|target| name.starts_with(target))?;
    // Runs with hooks on a kernel that could sweep stand for older kernels, and belong to the same column.
    let name = name.strip_prefix(target)?;
    let scenario = name.strip_prefix(":events").unwrap_or(name).strip_prefix("::")?.split("::").next()?;
    Some((target, scenario, is_exact))
}

/// The title from the scenario's file: its module documentation up to the first colon or full stop. A variant has no
/// file of its own; its name begins with that of the scenario.
fn title(scenario: &str) -> String {
    if let Some(title) = title_of_file(scenario) {
        return title;
    }
    let names = scenario.match_indices('_').rev().map(|(at, _)| scenario.split_at(at));
    let variant = names.into_iter().find_map(|(name, variant)| Some((title_of_file(name)?, variant)));
    variant.map_or_else(
        || scenario.to_owned(),
        |(title, variant)| format!("{title} ({})", variant.trim_start_matches('_').replace('_', " ")),
    )
}

fn title_of_file(name: &str) -> Option<String> {
    let path = shell::workspace().join("tests/kernel/scenarios").join(format!("{name}.rs"));
    let text = fs::read_to_string(path).ok()?;
    let lines = text.lines().map_while(|line| line.strip_prefix("//! "));
    let paragraph = lines.collect::<Vec<_>>().join(" ");
    let end = [": ", ". "].iter().filter_map(|mark| paragraph.find(mark)).min().unwrap_or(paragraph.len());
    let title = paragraph[..end].trim_end_matches('.');
    (!title.is_empty()).then(|| title.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_exact_when_it_is_over_every_family_of_addresses() {
        let mut exactness = Exactness::default();
        exactness.note("5.10", "test ebpf:fentry::peek::ipv4          ... ok");
        exactness.note("6.1", "test ebpf:fentry::peek::ipv4 ... ok");
        exactness.note("6.1", "test ebpf:fentry::peek::ipv6 ... FAILED");
        exactness.note("6.1", "test packet::vlan::ipv6 ... ignored");
        exactness.note("6.1", "test users::tests::a ... ok");
        let table = exactness.markdown();
        assert!(table.ends_with("| Two peeks before each read | 5.10, 6.1 WRONG |  |  |  |\n"), "{table}");
        assert_eq!(table.lines().count(), 3);
    }

    #[test]
    fn a_variant_of_a_scenario_has_its_title_and_what_is_different() {
        let title = title("open_while_stopped_by_process");
        assert!(title.starts_with("A service that keeps nothing") && title.ends_with(" (by process)"), "{title}");
    }

    /// [`Exactness::write`] wrote the published table on the day it names. It may lack newer scenarios, but must have
    /// none that does not exist.
    #[test]
    fn every_row_of_the_published_table_is_a_scenario() {
        let path = shell::workspace().join("trafcalc/docs/exactness.md");
        let document = fs::read_to_string(path).unwrap();
        let rows = document.lines().skip_while(|line| !line.starts_with("| scenario |")).skip(2);
        let published: Vec<&str> = rows.map(|row| row.split(" | ").next().unwrap().trim_start_matches("| ")).collect();
        assert!(published.len() > 90, "{} rows", published.len());
        let scenarios = fs::read_dir(shell::workspace().join("tests/kernel/scenarios")).unwrap();
        let names = scenarios.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
        let titles: Vec<String> = names.map(|name| title(&name)).collect();
        for row in published {
            let is_there = |title: &String| {
                row.strip_prefix(title.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
            };
            assert!(titles.iter().any(is_there), "{row}");
        }
    }
}
