//! What runs in every guest: the test program, the program under test, and what they call.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::cache;
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
    /// Builds both programs for release: an emulated machine takes twice as long for what was not optimised.
    pub(super) fn build(busybox: PathBuf, arguments: &[String]) -> Result<Self> {
        let what = ["build", "--release", "--package", "trafcalc", "--bin", "trafcalc", "--test", "kernel"];
        let mut cargo = shell::cargo(what);
        let built = shell::executables(&mut cargo)?;
        let ip = system::find("ip").context("there is no ip (package iproute2) here")?;
        let programs = vec![
            (PROGRAM, without_debug_information(&shell::executable_of(&built, "trafcalc")?)?),
            (TESTS, without_debug_information(&shell::executable_of(&built, "kernel")?)?),
            ("/bin/ip", ip),
            ("/bin/busybox", busybox),
        ];
        Ok(Self { programs, arguments: arguments.to_vec() })
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
fn without_debug_information(program: &Path) -> Result<PathBuf> {
    let dir = cache().join("run");
    fs::create_dir_all(&dir)?;
    let stripped = dir.join(program.file_name().context("a program has a name")?);
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
