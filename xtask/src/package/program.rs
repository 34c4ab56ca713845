//! The program for packages: built with link-time optimisation, stripped, for old C libraries, and reproducible.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::tools::Tools;
use super::{Processor, epoch};
use crate::toolchain::Compiler;
use crate::{shell, system};

/// The newest version of the C library that the program may need: that of Debian 10 and RHEL 8.
const GLIBC: (u32, u32) = (2, 28);
/// The program should not be larger.
const MAX_BYTES: u64 = 6_000_000;
/// Libraries that every host has: parts of the C library.
const LIBRARIES: [&str; 7] =
    ["libc.so.", "libm.so.", "libpthread.so.", "libdl.so.", "librt.so.", "libutil.so.", "ld-linux"];

/// A built program.
pub(super) struct Program {
    pub(super) path: PathBuf,
}

impl Program {
    /// Builds it in a folder.
    pub(super) fn build(tools: &Tools, processor: Processor, folder: &Path) -> Result<Self> {
        let target = processor.target();
        let mut cargo = Command::new(tools.zigbuild());
        cargo.current_dir(shell::workspace()).arg("zigbuild").args(["--locked", "--profile", "packaged"]);
        cargo.args(["--package", "trafcalc", "--bin", "trafcalc"]);
        cargo.args(["--target", &format!("{target}.{}.{}", GLIBC.0, GLIBC.1)]).arg("--target-dir").arg(folder);
        cargo.env("PATH", tools.path()?).env("SOURCE_DATE_EPOCH", epoch()?);
        let own = own_sysroot()?;
        if own.join("lib/rustlib").join(&target).join("lib").is_dir() {
            cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(&own));
        } else {
            // This toolchain has no standard library for the target; the compiler of the eBPF half has its source.
            let compiler = Compiler::find().context("no compiler here has the source of the standard library")?;
            cargo.arg("-Zbuild-std").env("CARGO", compiler.program("cargo"));
            cargo.env("RUSTC", compiler.program("rustc")).env("RUSTC_BOOTSTRAP", "1");
            cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(&compiler.sysroot));
        }
        shell::run(&mut cargo)?;
        Ok(Self { path: folder.join(target).join("packaged/trafcalc") })
    }

    /// Fails if the program needs something that old hosts do not have; warns if it is too large.
    pub(super) fn check(&self) -> Result<()> {
        let bytes = fs::metadata(&self.path)?.len();
        if bytes > MAX_BYTES {
            println!("warning: the program has {bytes} bytes, more than the {MAX_BYTES} that it should have");
        }
        if system::find("readelf").is_none() {
            bail!("the C library that is needed cannot be checked: there is no readelf");
        }
        let read = |what: &str| shell::output(Command::new("readelf").args(["--wide", what]).arg(&self.path));
        let needed = read("--dynamic")?;
        let foreign: Vec<_> = libraries(&needed).filter(|name| !is_of_the_c_library(name)).collect();
        ensure!(foreign.is_empty(), "the program is linked with {}", foreign.join(", "));
        let glibc =
            highest_glibc(&read("--version-info")?).context("no symbol of the program names a GLIBC version")?;
        ensure!(glibc <= GLIBC, "the program needs GLIBC_{}.{}", glibc.0, glibc.1);
        println!("{}: {bytes} bytes, needs GLIBC_{}.{}", self.path.display(), glibc.0, glibc.1);
        Ok(())
    }
}

/// Gives folders that differ between machines the same names in every build.
fn flags(sysroot: &Path) -> String {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let folders = [
        (Some(shell::workspace().to_owned()), "/trafcalc"),
        (cargo_home, "/cargo"),
        (Some(sysroot.to_owned()), "/rust"),
    ];
    let flag =
        |(folder, name): (Option<PathBuf>, &str)| Some(format!("--remap-path-prefix={}={name}", folder?.display()));
    folders.into_iter().filter_map(flag).collect::<Vec<_>>().join("\x1f")
}

fn own_sysroot() -> Result<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Ok(shell::output(Command::new(rustc).args(["--print", "sysroot"]))?.trim().into())
}

/// The libraries that `readelf --dynamic` lists as needed.
fn libraries(dynamic: &str) -> impl Iterator<Item = &str> {
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    needed.filter_map(|line| line.split_once('[')?.1.split(']').next())
}

fn is_of_the_c_library(library: &str) -> bool {
    LIBRARIES.iter().any(|name| library.starts_with(name))
}

/// The highest version in symbols such as `GLIBC_2.17`.
fn highest_glibc(text: &str) -> Option<(u32, u32)> {
    let version = |text: &str| {
        let (major, rest) = text.split_once('.')?;
        let minor = rest.split(|character: char| !character.is_ascii_digit()).next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    text.split("GLIBC_").skip(1).filter_map(version).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_is_found_by_number() {
        let text = "  0x0010: Name: GLIBC_2.9  Flags: none\n  0x0020: Name: GLIBC_2.28  Flags\n  Name: GLIBC_2.2.5  Version: 2";
        assert_eq!(highest_glibc(text), Some((2, 28)));
        assert_eq!(highest_glibc("Name: GCC_3.0"), None);
    }

    #[test]
    fn needed_libraries_are_those_of_the_c_library() {
        let text = " 0x01 (NEEDED)  Shared library: [libc.so.6]\n 0x01 (NEEDED)  Shared library: [libgcc_s.so.1]\n 0x1d (RUNPATH) [x]";
        assert_eq!(libraries(text).collect::<Vec<_>>(), ["libc.so.6", "libgcc_s.so.1"]);
        assert!(is_of_the_c_library("ld-linux-aarch64.so.1") && !is_of_the_c_library("libgcc_s.so.1"));
    }
}
