//! The machine that runs the tasks: its privileges, and the packages of its distribution.

use std::env;
use std::fs;
use std::io::{IsTerminal as _, stdin};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// Whether the tasks run as root.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Version and patch level of the running kernel, as in `6.1`.
pub(crate) fn kernel() -> Result<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read the kernel's version")?;
    Ok(release.split('.').take(2).collect::<Vec<_>>().join("."))
}

/// A command that runs a program as root: directly, or with sudo if that can work. On a terminal sudo may ask for a
/// password.
pub(crate) fn as_root(program: impl Into<PathBuf>) -> Option<Command> {
    let program = program.into();
    if is_root() {
        return Some(Command::new(program));
    }
    let mut sudo = Command::new(find("sudo")?);
    if !stdin().is_terminal() {
        sudo.arg("-n");
        succeeds(Command::new("sudo").args(["-n", "true"])).then_some(())?;
    }
    sudo.arg("--").arg(program);
    Some(sudo)
}

/// The path of a program. Folders of system programs are searched even if they are not in PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Whether a program succeeds; its output is discarded.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

/// Whether the system has apt.
pub(crate) fn is_debian() -> bool {
    find("apt-get").is_some()
}

/// Whether apt can install all of these packages.
pub(crate) fn has_packages(packages: &[&str]) -> bool {
    let candidate = |package: &&str| {
        let policy = shell::output(Command::new("apt-cache").args(["policy", package])).unwrap_or_default();
        policy.lines().any(|line| line.trim().starts_with("Candidate:") && !line.ends_with("(none)"))
    };
    packages.iter().all(candidate)
}

/// Updates apt's lists.
pub(crate) fn update_packages() -> Result<()> {
    shell::run(apt_get()?.args(["update", "--quiet=2"]))
}

/// Installs packages with apt; updates its lists if they are missing or too old.
pub(crate) fn install_packages(packages: &[&str]) -> Result<()> {
    let install = || -> Result<()> {
        let options = ["install", "--yes", "--quiet=2", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0"];
        shell::run(apt_get()?.args(options).args(packages))
    };
    if !has_packages(packages) || install().is_err() {
        update_packages()?;
        install()?;
    }
    Ok(())
}

fn apt_get() -> Result<Command> {
    let Some(mut command) = as_root("env") else {
        bail!("packages can be installed only by root, and sudo is not there or wants a password");
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Ok(command)
}

/// Installs the packages of missing programs; `(program, package)`.
pub(crate) fn ensure_programs(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<_> = programs.iter().filter(|(program, _)| find(program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    let names = missing.iter().map(|(program, _)| *program).collect::<Vec<_>>().join(", ");
    if !is_debian() {
        bail!("not here: {names}; on Debian they are in the packages {}", packages.join(", "));
    }
    install_packages(&packages).with_context(|| format!("cannot install {names}"))
}
