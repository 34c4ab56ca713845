//! `cargo xtask build`: everything, for release.

use std::path::PathBuf;

use anyhow::Result;

use crate::{setup, shell};

/// The command.
pub(crate) fn run() -> Result<()> {
    setup::ensure_tools()?;
    println!("{}", release()?.display());
    Ok(())
}

/// Builds the program for release and gives its path.
pub(crate) fn release() -> Result<PathBuf> {
    let mut cargo = shell::cargo(["build", "--release", "--package", "trafcalc", "--bin", "trafcalc"]);
    shell::executable_of(&shell::executables(&mut cargo)?, "trafcalc")
}
