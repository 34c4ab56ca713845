//! Nanoseconds per event, by the kernel's statistics, compared with programs on the same hooks that do nothing.

use std::collections::BTreeMap;
use std::ops::Add as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::line::Line;
use super::statistics::{Run, Statistics};
use super::table::{Table, column};
use super::tool::Tool;
use super::transfer::{FULL_SPEED, Transfer};

const TITLE: &str = "Nanoseconds an event";
/// The row of all hooks together, without programs that are attached to nothing.
const ALL: &str = "all";
/// 150,000 writes of 1,000 bytes, and as many reads.
const TRAFFIC: Transfer = Transfer { bytes: 150_000_000, chunk: 1_000, ..FULL_SPEED };

/// Measures `tool` and, in turns, the same hooks with `empty` programs.
pub(super) fn measure(tool: &Tool, empty: &Path, turns: u32) -> Result<Table> {
    let about = "150,000 writes of 1,000 bytes and the reads of them; `kernel.bpf_stats_enabled`, whose own reading of \
                 the clock is in both. Limit: 1.8 times the empty program, by process.";
    let columns = [column("events", 0), column("empty, ns", 1), column("trafcalc, ns", 1), column("ratio", 2)];
    let mut table = Table::new(&format!("{TITLE}: {}", tool.name()), about, "hook", &columns).drawing(2);
    let _statistics = Statistics::on()?;
    let empty = tool.built_as(empty);
    for turn in 1..=turns {
        eprintln!("{}, turn {turn}", table.title);
        let (nothing, ours) = (runs(&empty, &TRAFFIC)?, runs(tool, &TRAFFIC)?);
        for (hook, ours) in &ours {
            let nothing = nothing.get(hook).with_context(|| format!("no empty program at {hook}"))?;
            table.add(hook, &row(*nothing, *ours));
        }
    }
    Ok(table)
}

/// Measures all hooks of `tool` together once, with this traffic; returns a row of the same columns.
pub(super) fn compared(tool: &Tool, empty: &Path, traffic: &Transfer) -> Result<[f64; 4]> {
    let _statistics = Statistics::on()?;
    let all = |tool| Ok::<_, anyhow::Error>(runs(tool, traffic)?.remove(ALL).unwrap_or_default());
    Ok(row(all(&tool.built_as(empty))?, all(tool)?))
}

fn row(nothing: Run, ours: Run) -> [f64; 4] {
    [ours.events, nothing.each(), ours.each(), ours.each() / nothing.each()]
}

/// Measures the cost of an event for each set of options that hooks every event.
pub(super) fn measure_whose(tool: &Tool, empty: &Path, turns: u32) -> Result<Table> {
    let about = "As above, all hooks of sockets.";
    let columns = [column("ns", 1), column("to the empty program", 2)];
    let mut table = Table::new(&format!("Whose an event is: {}", tool.name()), about, "options", &columns).drawing(0);
    let _statistics = Statistics::on()?;
    let empty = tool.built_as(empty);
    for turn in 1..=turns {
        eprintln!("{}, turn {turn}", table.title);
        let nothing = each(&empty.by_process())?;
        table.add("empty program", &[nothing, 1.0]);
        for options in WHOSE {
            let cost = each(&tool.with(options))?;
            table.add(&options.join(" "), &[cost, cost / nothing]);
        }
    }
    Ok(table)
}

/// The last two exclude the traffic, each in a different way.
const WHOSE: [&[&str]; 6] = [
    &["--by", "process"],
    &["--by", "program"],
    &["--by", "unit"],
    &["--owner", "acting"],
    &["--pid", "1"],
    &["--program", "nobody"],
];

/// The cost of an event during the traffic, over all hooks of sockets.
fn each(tool: &Tool) -> Result<f64> {
    let runs = runs(tool, &TRAFFIC)?;
    let of_sockets = runs.iter().filter(|(hook, _)| *hook != ALL && !hook.starts_with("sched_"));
    Ok(of_sockets.map(|(_, &run)| run).fold(Run::default(), Run::add).each())
}

/// The cost of each hook of `tool` during the traffic, and of all together.
fn runs(tool: &Tool, traffic: &Transfer) -> Result<BTreeMap<String, Run>> {
    let line = Line::new()?;
    let watcher = tool.start(&line)?;
    let (_, mut runs) = traffic.run(&line, || Ok(watcher.program.bpf_programs()?.by_hook()))?;
    watcher.stop()?;
    runs.retain(|_, run| run.events > 0.0);
    let all = runs.values().copied().fold(Run::default(), Run::add);
    ensure!(all.events > 0.0, "the kernel has no statistics of {}", tool.name());
    runs.insert(ALL.to_owned(), all);
    Ok(runs)
}
