//! `cargo xtask build`: builds everything for release.

use std::path::PathBuf;

use anyhow::Result;

use crate::{setup, shell};

/// Runs the command.
pub(crate) fn run() -> Result<()> {
    setup::ensure_tools()?;
    println!("{}", release()?.display());
    Ok(())
}

/// Builds the program for release; returns its path.
pub(crate) fn release() -> Result<PathBuf> {
    let mut cargo = shell::cargo(["build", "--release", "--package", "trafcalc", "--bin", "trafcalc"]);
    shell::executable_of(&shell::executables(&mut cargo)?, "trafcalc")
}

/// Builds it with eBPF programs that do nothing, for the benchmark. It uses a target folder of its own, so that neither
/// build makes the other stale.
pub(crate) fn release_with_empty_programs() -> Result<PathBuf> {
    let mut cargo = shell::cargo(["build", "--release", "--package", "trafcalc", "--bin", "trafcalc"]);
    cargo.args(["--target-dir", "target/bench/empty"]).env("TRAFCALC_EBPF_EMPTY", "1");
    shell::executable_of(&shell::executables(&mut cargo)?, "trafcalc")
}
