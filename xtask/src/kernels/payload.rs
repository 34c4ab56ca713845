//! The programs in every guest: the test program, the program under test, and what they call.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::initramfs::Initramfs;
use super::kernel::Processor;
use crate::shell;
use crate::toolchain::Compiler;

/// The path of the program under test in the guest.
pub(super) const PROGRAM: &str = "/test/trafcalc";
/// The path of the test program in the guest.
pub(super) const TESTS: &str = "/test/kernel";

/// The linker for arm64.
pub(super) const LINKER_ARM64: &str = "aarch64-linux-gnu-gcc";

/// Builds the program and its tests with optimisation: in an emulated machine an unoptimised build takes twice as long.
const BUILD: [&str; 8] = ["build", "--profile=guest", "--package", "trafcalc", "--bin", "trafcalc", "--test", "kernel"];

/// Files with their paths in a guest.
pub(super) type Tools = Vec<(String, PathBuf)>;

/// Programs, and libraries that this machine does not have for them.
pub(super) struct Payload {
    files: Tools,
    arguments: Vec<String>,
    /// Two versions of the package, if a guest needs them.
    pub(super) packages: Vec<PathBuf>,
}

impl Payload {
    /// These programs and what every guest needs, for this machine's architecture; stripped programs are written to
    /// `dir`.
    pub(super) fn of(programs: &[(&'static str, PathBuf)], tools: Tools, dir: &Path) -> Result<Self> {
        let mut files = tools;
        for (path, program) in programs {
            files.push(((*path).into(), without_debug_information(path, program, dir)?));
        }
        Ok(Self { files, arguments: Vec::new(), packages: Vec::new() })
    }

    /// Builds the program and its tests.
    pub(super) fn build(processor: Processor, tools: Tools, dir: &Path, arguments: &[String]) -> Result<Self> {
        let mut cargo = match processor {
            Processor::X86 => shell::cargo(BUILD),
            Processor::Arm64 => cargo_arm64()?,
        };
        let built = shell::executables(&mut cargo)?;
        let programs =
            [(PROGRAM, shell::executable_of(&built, "trafcalc")?), (TESTS, shell::executable_of(&built, "kernel")?)];
        let mut payload = match processor {
            Processor::X86 => Self::of(&programs, tools, dir)?,
            Processor::Arm64 => {
                let programs = programs.map(|(path, program)| (path.to_owned(), program));
                Self { files: tools.into_iter().chain(programs).collect(), arguments: Vec::new(), packages: Vec::new() }
            }
        };
        payload.arguments = arguments.to_vec();
        Ok(payload)
    }

    /// Adds the programs and the libraries they are linked with.
    pub(super) fn pack(&self, files: &mut Initramfs) -> Result<()> {
        for (path, program) in &self.files {
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

    /// The file with this path in the guest.
    pub(super) fn file(&self, path: &str) -> Result<&Path> {
        let found = self.files.iter().find(|(name, _)| name == path);
        found.map(|(_, file)| file.as_path()).with_context(|| format!("there is no {path}"))
    }

    /// The test program's arguments, quoted for a shell.
    pub(super) fn quoted_arguments(&self) -> String {
        let quoted = self.arguments.iter().map(|argument| format!("'{}'", argument.replace('\'', "'\\''")));
        quoted.collect::<Vec<_>>().join(" ")
    }
}

/// Builds static programs for arm64. No toolchain needs the standard library for it: the compiler of the eBPF half has
/// its source.
fn cargo_arm64() -> Result<Command> {
    let compiler = Compiler::find().context("no compiler here has the source of the standard library")?;
    let mut cargo = Command::new(compiler.program("cargo"));
    cargo.current_dir(shell::workspace()).args(BUILD).args(["-Zbuild-std", "--target", "aarch64-unknown-linux-gnu"]);
    cargo.env("RUSTC", compiler.program("rustc")).env("RUSTC_BOOTSTRAP", "1");
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER_ARM64);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    Ok(cargo)
}

/// Strips debug information, which is most of a program: a guest unpacks its files into memory.
fn without_debug_information(path_in_guest: &str, program: &Path, dir: &Path) -> Result<PathBuf> {
    let stripped = dir.join(path_in_guest.trim_start_matches('/'));
    fs::create_dir_all(stripped.parent().context("a path has a folder")?)?;
    shell::run(Command::new("strip").arg("--strip-debug").arg("-o").arg(&stripped).arg(program))?;
    Ok(stripped)
}

/// The shared libraries of a program, with the paths where its loader looks for them. A static program has none.
fn libraries(program: &Path) -> BTreeSet<String> {
    let list = shell::output(Command::new("ldd").arg(program)).unwrap_or_default();
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    list.lines().filter_map(path).collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
