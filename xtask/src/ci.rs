//! `cargo xtask ci`: the checks that a change must pass.

use anyhow::Result;

use crate::{deny, setup, shell, test};

/// Format and lints, which `cargo xtask test --quick` also checks.
pub(crate) const QUICK: [&[&str]; 2] =
    [&["fmt", "--all", "--check"], &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]];

/// Runs the command.
pub(crate) fn run() -> Result<()> {
    setup::ensure_tools()?;
    for check in QUICK {
        shell::run(&mut shell::cargo(check.iter().copied()))?;
    }
    let without_ebpf = ["--package", "trafcalc", "--no-default-features"];
    let mut lints = shell::cargo(["clippy", "--all-targets"]);
    shell::run(lints.args(without_ebpf).args(["--", "-D", "warnings"]))?;
    deny::check()?;
    shell::run(shell::cargo(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    // Only checks that the fuzz targets compile: building them with coverage takes too long here, and so does
    // packaging.
    shell::run(&mut shell::cargo([
        "check",
        "--manifest-path",
        "tests/fuzz/Cargo.toml",
        "--target-dir",
        "target/fuzz",
    ]))?;
    test::run(&test::Arguments::of_ci())
}
