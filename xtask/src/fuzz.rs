//! `cargo xtask fuzz`: runs each fuzz target for some seconds, with the stable compiler.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::shell;

/// What is passed on.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Targets, such as `packets` [default: all]
    targets: Vec<String>,
    /// Running time of each target, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Coverage counters that guide libFuzzer: the flags that cargo-fuzz passes, without those of sanitizers.
const FLAGS: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cdebug-assertions",
    "-Ccodegen-units=16",
];
/// The inputs found so far, with which the next run begins.
const CORPUS: &str = "tests/fuzz/corpus";

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut cargo = shell::cargo(["build", "--manifest-path", "tests/fuzz/Cargo.toml", "--target-dir", "target/fuzz"]);
    // With an explicit target the flags do not apply to build scripts.
    cargo.args(["--target", &host()?]).env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    let built = shell::executables(&mut cargo)?;
    for (name, program) in &built {
        if arguments.targets.is_empty() || arguments.targets.contains(name) {
            run_target(name, program, arguments.seconds)?;
        }
    }
    let unknown = arguments.targets.iter().find(|target| !built.iter().any(|(name, _)| name == *target));
    unknown.map_or(Ok(()), |target| anyhow::bail!("there is no fuzz target {target}"))
}

fn run_target(name: &str, program: &Path, seconds: u32) -> Result<()> {
    let corpus = shell::workspace().join(CORPUS).join(name);
    let artifacts = shell::workspace().join("tests/fuzz/artifacts").join(name);
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut fuzzer = Command::new(program);
    fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", artifacts.display()));
    fuzzer.args(["-print_final_stats=0", "-verbosity=1", "-timeout=10"]).arg(&corpus);
    shell::run(&mut fuzzer)
}

fn host() -> Result<String> {
    let version = shell::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say its host")?;
    Ok(host.to_owned())
}
