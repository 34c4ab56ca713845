//! Checks a finished package: it contains every staged file, and lintian finds nothing.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::stage::{all_files, rpm_assets};
use crate::{shell, system};

/// Checks a package of either format; prints which checks are left out because a program is missing.
pub(super) fn package(package: &Path, stage: &Path) -> Result<()> {
    println!("{}: {} bytes", package.display(), fs::metadata(package)?.len());
    if package.extension().is_some_and(|extension| extension == "deb") {
        deb(package, stage)
    } else {
        rpm(package, stage)
    }
}

fn deb(package: &Path, stage: &Path) -> Result<()> {
    if system::find("dpkg-deb").is_some() {
        let contents = shell::output(Command::new("dpkg-deb").arg("--contents").arg(package))?;
        let expected = all_files(stage)?;
        let expected = expected.iter().map(|file| Ok(format!("./{}", file.strip_prefix(stage)?.display())));
        all_are_there(expected.collect::<Result<_>>()?, &contents)?;
        print!("{contents}");
    } else {
        println!("left out: what the deb has, for want of dpkg-deb");
    }
    if system::find("lintian").is_none() {
        println!("left out: lintian, which is not there");
        return Ok(());
    }
    let mut lintian = Command::new("lintian");
    if system::is_root() {
        lintian.arg("--allow-root");
    }
    shell::run(lintian.args(["--fail-on", "error,warning", "--show-overrides"]).arg(package))
}

fn rpm(package: &Path, stage: &Path) -> Result<()> {
    if system::find("rpm2cpio").is_none() || system::find("cpio").is_none() {
        println!("left out: what the rpm has, for want of rpm2cpio or cpio");
        return Ok(());
    }
    let mut unpacked = Command::new("rpm2cpio").arg(package).stdout(Stdio::piped()).spawn()?;
    let archive = unpacked.stdout.take().context("a pipe was asked for")?;
    let contents = shell::output(Command::new("cpio").args(["--list", "--quiet"]).stdin(archive))?;
    // rpm2cpio may fail because cpio does not read the padding after the last file. Only the list of files matters.
    unpacked.wait()?;
    let assets = rpm_assets(stage)?;
    let paths = assets.split("dest = \"").skip(1).filter_map(|rest| rest.split('"').next());
    all_are_there(paths.map(|path| format!(".{path}")).collect(), &contents)
}

fn all_are_there(expected: Vec<String>, contents: &str) -> Result<()> {
    ensure!(!expected.is_empty(), "nothing was laid out");
    let found: Vec<_> = contents.lines().filter_map(|line| line.split_whitespace().last()).collect();
    for path in expected {
        ensure!(found.contains(&path.as_str()), "{path} is missing in the package");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_is_told() {
        let contents = "-rw-r--r-- root/root 9 2026-11-26 12:00 ./etc/trafcalc.toml\n";
        assert!(all_are_there(vec!["./etc/trafcalc.toml".into()], contents).is_ok());
        assert!(all_are_there(vec!["./etc/trafcalc".into()], contents).is_err());
    }
}
