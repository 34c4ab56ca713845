//! `cargo xtask run`: counts on this machine and prints a report every second.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{build, setup, system};

/// What is passed on.
#[derive(Args)]
pub(crate) struct Arguments {
    /// More arguments of `trafcalc run`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the command. The process becomes the service, so that signals reach it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::ensure_tools()?;
    let program = build::release()?;
    let mut service = system::as_root(&program).with_context(|| {
        format!(
            "counting needs root or CAP_NET_RAW, CAP_BPF and CAP_PERFMON, and there is no sudo: run {} run",
            program.display()
        )
    })?;
    service.args(["run", "--interval", "1s", "--log", "-"]).args(&arguments.arguments);
    Err(service.exec()).with_context(|| format!("cannot start {}", program.display()))
}
