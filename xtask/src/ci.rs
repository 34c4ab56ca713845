//! `cargo xtask ci`: what a change must pass.

use anyhow::Result;

use crate::{setup, shell, test};

/// Checks, fast ones first; then the tests.
const CHECKS: [&[&str]; 4] = [
    &["fmt", "--all", "--check"],
    &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
    &["clippy", "--package", "trafcalc", "--all-targets", "--no-default-features", "--", "-D", "warnings"],
    &["check", "--manifest-path", "tests/fuzz/Cargo.toml", "--target-dir", "target/fuzz"],
];

/// The command.
pub(crate) fn run() -> Result<()> {
    setup::ensure_tools()?;
    for check in CHECKS {
        shell::run(&mut shell::cargo(check.iter().copied()))?;
    }
    shell::run(&mut shell::cargo(["build", "--package", "trafcalc", "--no-default-features"]))?;
    test::run(&test::Arguments::of_ci())
}
