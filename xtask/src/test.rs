//! `cargo xtask test`: every test that this machine can run, and the names of those it cannot.

use anyhow::Result;
use clap::Args;

use crate::{kernels, setup, shell, system};

/// What is passed on.
#[derive(Args, Default)]
pub(crate) struct Arguments {
    /// Only tests whose name contains this
    filter: Option<String>,
    /// Also on other kernels, as `cargo xtask kernels` does
    #[arg(long)]
    kernels: bool,
    /// A kernel that cannot be fetched is named as left out instead of failing the run
    #[arg(long)]
    allow_missing: bool,
}

/// Programs that scenarios call.
const PROGRAMS: [(&str, &str); 2] = [("ip", "iproute2"), ("nft", "nftables")];

/// The command.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::ensure_tools()?;
    let mut left_out = Vec::new();
    if let Err(error) = system::ensure_programs(&PROGRAMS) {
        left_out.push(format!("scenarios that need them: {error:#}"));
    }
    let result = all(arguments, &mut left_out);
    tell(&left_out);
    result
}

fn all(arguments: &Arguments, left_out: &mut Vec<String>) -> Result<()> {
    let mut workspace = shell::cargo(["test", "--workspace"]);
    workspace.args(&arguments.filter);
    // The scenarios are among them; without root they only state their names.
    let mut collected = Vec::new();
    shell::run_reading(&mut workspace, |line| collected.extend(line.strip_prefix("left out: ").map(str::to_owned)))?;
    left_out.append(&mut collected);
    if !system::is_root() {
        scenarios_as_root(arguments, left_out)?;
    }
    on_other_kernels(arguments, left_out)
}

fn on_other_kernels(arguments: &Arguments, left_out: &mut Vec<String>) -> Result<()> {
    if !arguments.kernels {
        left_out.push("the scenarios on other kernels: `cargo xtask kernels` runs them".into());
        return Ok(());
    }
    if !kernels::can_run() {
        left_out.push("the scenarios on other kernels: they take apt, and an x86-64 machine".into());
        return Ok(());
    }
    let filter = arguments.filter.clone().into_iter().collect();
    kernels::all(&kernels::Arguments::every(filter, arguments.allow_missing), left_out)
}

fn scenarios_as_root(arguments: &Arguments, left_out: &mut Vec<String>) -> Result<()> {
    let mut build = shell::cargo(["test", "--package", "trafcalc", "--test", "kernel", "--no-run"]);
    let kernel = shell::executable_of(&shell::executables(&mut build)?, "kernel")?;
    let Some(mut kernel) = system::as_root(kernel) else {
        left_out
            .push("the scenarios of tests/kernel: they need root, and sudo is not there or wants a password".into());
        return Ok(());
    };
    kernel.current_dir(shell::workspace().join("trafcalc")).args(&arguments.filter);
    shell::run_reading(&mut kernel, |line| left_out.extend(line.strip_prefix("left out: ").map(str::to_owned)))
}

fn tell(left_out: &[String]) {
    if left_out.is_empty() {
        println!("\nnothing was left out");
        return;
    }
    println!("\nleft out:");
    for what in left_out {
        println!("- {what}");
    }
}
