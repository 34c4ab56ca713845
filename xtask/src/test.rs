//! `cargo xtask test`: runs every test that this machine can run, and lists those it cannot.

use anyhow::Result;
use clap::Args;

use crate::exactness::Exactness;
use crate::{ci, kernels, setup, shell, system};

/// What is passed on.
#[derive(Args, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(crate) struct Arguments {
    /// Run only tests whose name contains this
    filter: Option<String>,
    /// Run only on this machine's kernel, without virtual machines
    #[arg(long)]
    native: bool,
    /// Check format and lints, and run the tests that need no privilege; takes two minutes after the first build
    #[arg(long, conflicts_with_all = ["native", "allow_missing"])]
    quick: bool,
    /// Only install, use, upgrade and remove the package in complete Debian systems, in virtual machines
    #[arg(long, conflicts_with_all = ["filter", "native", "quick", "allow_missing"])]
    system: bool,
    /// List a kernel that cannot be fetched as left out instead of failing; the same for the program that runs it
    #[arg(long, conflicts_with = "native")]
    allow_missing: bool,
}

impl Arguments {
    /// All tests; a kernel that can no longer be fetched is no failure.
    pub(crate) fn of_ci() -> Self {
        Self { allow_missing: true, ..Self::default() }
    }
}

/// Programs that the scenarios use.
const PROGRAMS: [(&str, &str); 2] = [("ip", "iproute2"), ("nft", "nftables")];

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::ensure_tools()?;
    if arguments.quick {
        return quick(arguments);
    }
    let mut found = Found::default();
    if arguments.system {
        return kernels::systems(&mut found);
    }
    if let Err(error) = system::ensure_programs(&PROGRAMS) {
        found.left_out.push(format!("scenarios that need them: {error:#}"));
    }
    let result = all(arguments, &mut found);
    tell(&found.left_out);
    result
}

/// A fast check during development: no scenarios with real traffic, no other kernels.
fn quick(arguments: &Arguments) -> Result<()> {
    for check in ci::QUICK {
        shell::run(&mut shell::cargo(check.iter().copied()))?;
    }
    let mut tests = shell::cargo(["test", "--workspace", "--lib", "--bins", "--test", "it"]);
    shell::run(tests.args(&arguments.filter))?;
    println!("\nleft out: the scenarios of tests/kernel, by --quick");
    Ok(())
}

/// What the tests report besides passing and failing.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) left_out: Vec<String>,
    pub(crate) exactness: Exactness,
}

impl Found {
    /// Takes a line of the tests' output on this kernel.
    pub(crate) fn note(&mut self, kernel: &str, line: &str) {
        self.left_out.extend(line.strip_prefix("left out: ").map(str::to_owned));
        self.exactness.note(kernel, line);
    }
}

fn all(arguments: &Arguments, found: &mut Found) -> Result<()> {
    let kernel = system::kernel()?;
    let mut workspace = shell::cargo(["test", "--workspace"]);
    workspace.args(&arguments.filter);
    // This includes the scenarios; without root they only print their names.
    shell::run_reading(&mut workspace, |line| found.note(&kernel, line))?;
    if !system::is_root() {
        scenarios_as_root(arguments, &kernel, found)?;
    }
    on_other_kernels(arguments, found)?;
    if arguments.filter.is_none() { found.exactness.write() } else { Ok(()) }
}

fn on_other_kernels(arguments: &Arguments, found: &mut Found) -> Result<()> {
    if arguments.native {
        found.left_out.push("the scenarios on other kernels, by --native".into());
        return Ok(());
    }
    if !kernels::can_run() {
        found.left_out.push("the scenarios on other kernels: they take apt, and an x86-64 machine".into());
        return Ok(());
    }
    let filter = arguments.filter.clone().into_iter().collect();
    kernels::all(&kernels::Arguments::every(filter, arguments.allow_missing), found)
}

fn scenarios_as_root(arguments: &Arguments, kernel: &str, found: &mut Found) -> Result<()> {
    let mut build = shell::cargo(["test", "--package", "trafcalc", "--test", "kernel", "--no-run"]);
    let tests = shell::executable_of(&shell::executables(&mut build)?, "kernel")?;
    let Some(mut tests) = system::as_root(tests) else {
        found
            .left_out
            .push("the scenarios of tests/kernel: they need root, and sudo is not there or wants a password".into());
        return Ok(());
    };
    tests.current_dir(shell::workspace().join("trafcalc")).args(&arguments.filter);
    shell::run_reading(&mut tests, |line| found.note(kernel, line))
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
