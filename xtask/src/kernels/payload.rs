//! What runs in every guest: the test program, the program under test, and what they call.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::initramfs::Initramfs;
use crate::{shell, system};

/// The program under test, in the guest.
pub(super) const PROGRAM: &str = "/test/trafcalc";
/// The test program, in the guest.
pub(super) const TESTS: &str = "/test/kernel";

/// Programs with their path in the guest.
pub(super) struct Payload {
    programs: Vec<(&'static str, PathBuf)>,
    arguments: Vec<String>,
}

impl Payload {
    /// These programs, and what every guest needs; what is made of them goes to `dir`.
    pub(super) fn of(programs: &[(&'static str, PathBuf)], busybox: PathBuf, dir: &Path) -> Result<Self> {
        let ip = system::find("ip").context("there is no ip (package iproute2) here")?;
        let small =
            |(path, program): &(&'static str, PathBuf)| Ok((*path, without_debug_information(path, program, dir)?));
        let mut programs = programs.iter().map(small).collect::<Result<Vec<_>>>()?;
        programs.extend([("/bin/ip", ip), ("/bin/busybox", busybox)]);
        Ok(Self { programs, arguments: Vec::new() })
    }

    /// Builds the program and its tests for release: an emulated machine takes twice as long for what was not optimised.
    pub(super) fn build(busybox: PathBuf, dir: &Path, arguments: &[String]) -> Result<Self> {
        let what = ["build", "--release", "--package", "trafcalc", "--bin", "trafcalc", "--test", "kernel"];
        let built = shell::executables(&mut shell::cargo(what))?;
        let programs =
            [(PROGRAM, shell::executable_of(&built, "trafcalc")?), (TESTS, shell::executable_of(&built, "kernel")?)];
        Ok(Self { arguments: arguments.to_vec(), ..Self::of(&programs, busybox, dir)? })
    }

    /// Adds the programs and the libraries they are linked with.
    pub(super) fn pack(&self, files: &mut Initramfs) -> Result<()> {
        for (path, program) in &self.programs {
            files.file(path, 0o755, &read(program)?);
            for library in libraries(program) {
                files.file(&library, 0o755, &read(Path::new(&library))?);
            }
        }
        files.file("/etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
        files.file("/etc/subuid", 0o644, b"");
        files.file("/etc/group", 0o644, b"root:x:0:\n");
        files.link("/bin/sh", "busybox");
        Ok(())
    }

    /// The test program's arguments for a shell.
    pub(super) fn quoted_arguments(&self) -> String {
        let quoted = self.arguments.iter().map(|argument| format!("'{}'", argument.replace('\'', "'\\''")));
        quoted.collect::<Vec<_>>().join(" ")
    }
}

/// A guest unpacks its files into memory, and debug information is most of a program.
fn without_debug_information(path_in_guest: &str, program: &Path, dir: &Path) -> Result<PathBuf> {
    let stripped = dir.join(path_in_guest.trim_start_matches('/'));
    fs::create_dir_all(stripped.parent().context("a path has a folder")?)?;
    shell::run(Command::new("strip").arg("--strip-debug").arg("-o").arg(&stripped).arg(program))?;
    Ok(stripped)
}

/// The shared libraries of a program, by the paths where its loader will look. A static program has none.
fn libraries(program: &Path) -> BTreeSet<String> {
    let list = shell::output(Command::new("ldd").arg(program)).unwrap_or_default();
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    list.lines().filter_map(path).collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
