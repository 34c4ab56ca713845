//! `cargo xtask bench`: error and cost of trafcalc beside nethogs, on the same transfers in one run.
//!
//! The traffic goes through a veth pair between two network namespaces made here and removed at the end. Tools take
//! turns, so that a busy minute of the machine hits each of them. It must never touch any other interface.

mod line;
mod measured;
mod table;
mod tool;
pub(crate) mod traffic;
mod workload;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{build, setup, shell, system};
use line::Line;
use table::{Sample, Table};
use tool::Tool;
use workload::{WORKLOADS, Workload};

/// How long to measure.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Turns of each tool on each transfer; the table has medians
    #[arg(long, default_value_t = 5)]
    repeats: u32,
    /// Only transfers with this in their name
    #[arg(long)]
    only: Option<String>,
    /// The built program; set when the command starts itself again as root
    #[arg(long, hide = true)]
    program: Option<PathBuf>,
}

/// The command. What is built is built by the caller, what is measured is measured by root.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let program = arguments.program.clone().map_or_else(built, Ok)?;
    if system::is_root() {
        return measure(arguments, &program);
    }
    let again = system::as_root(env::current_exe()?);
    let mut again = again.context("the bench makes network namespaces: run it as root, or with sudo that works")?;
    again.args(["bench", "--repeats", &arguments.repeats.to_string()]).arg("--program").arg(program);
    shell::run(again.args(arguments.only.iter().flat_map(|only| ["--only", only])))
}

fn built() -> Result<PathBuf> {
    setup::ensure_tools()?;
    build::release()
}

fn measure(arguments: &Arguments, program: &Path) -> Result<()> {
    let mut left_out = Vec::new();
    let tools = tool::available(program, &mut left_out);
    let mut table = Table::default();
    for workload in WORKLOADS.iter().filter(|workload| is_wanted(workload, arguments)) {
        for turn in 1..=workload.repeats(arguments.repeats) {
            for tool in &tools {
                eprintln!("{}, turn {turn}: {}", workload.name, tool.name());
                let sample = one(tool, workload).with_context(|| format!("{} with {}", workload.name, tool.name()))?;
                table.add(workload.name, &tool.name(), sample);
            }
        }
    }
    let text = table.markdown(&left_out)?;
    let dir = shell::workspace().join("target/bench");
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("bench.md"), &text)?;
    println!("{text}");
    Ok(())
}

fn is_wanted(workload: &Workload, arguments: &Arguments) -> bool {
    arguments.only.as_ref().is_none_or(|only| workload.name.contains(only.as_str()))
}

/// One tool watches one transfer.
fn one(tool: &Tool, workload: &Workload) -> Result<Sample> {
    let line = Line::new()?;
    let watcher = tool.start(&line)?;
    let transfer = workload.run(&line, || watcher.resident())?;
    let cost = watcher.stop()?;
    let counted = tool.counted(&cost);
    Ok(Sample {
        cpu_s: cost.cpu_s(),
        transfer_s: transfer.seconds,
        error: counted.map(|counted| workload::error(counted, transfer.sent_bytes)),
        resident_bytes: transfer.resident_bytes,
    })
}
