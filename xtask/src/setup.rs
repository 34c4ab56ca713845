//! `cargo xtask setup`: installs what a plain `cargo build` needs for the eBPF half.
//!
//! A compiler with the source of `core` comes from rustup, or from Debian if rustup does not have it. bpf-linker comes
//! from crates.io. If both exist, it does nothing and uses no network.

use std::env;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::toolchain::{Compiler, LINKED_TOOLCHAIN, LINKER_VERSION, find_linker};
use crate::{shell, system};

/// Debian's compiler, with its cargo and the source of its library, all of one version.
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Runs the command.
pub(crate) fn run() -> Result<()> {
    ensure_tools()?;
    if let (Some(compiler), Some(linker)) = (Compiler::find(), find_linker()) {
        println!("compiler for the kernel half: {}", compiler.sysroot.display());
        println!("its LLVM: {}", compiler.llvm.display());
        println!("linker: {}", linker.display());
    }
    Ok(())
}

/// Makes sure that the eBPF half can be built. Prebuilt objects need no tools.
pub(crate) fn ensure_tools() -> Result<()> {
    if env::var_os("TRAFCALC_EBPF_OBJECTS").is_some() {
        return Ok(());
    }
    if Compiler::find().is_none() {
        install_compiler()?;
    }
    if find_linker().is_none() {
        install_linker()?;
    }
    Ok(())
}

fn install_compiler() -> Result<()> {
    for attempt in [source_from_rustup, compiler_from_debian] {
        if let Err(error) = attempt() {
            eprintln!("{error:#}");
        }
        if Compiler::find().is_some() {
            return Ok(());
        }
    }
    bail!(
        "no compiler here can build `core` for the kernel: install rustup and run \
         `rustup component add rust-src`, or on Debian the packages {}, or build with --no-default-features",
        DEBIAN_PACKAGES.join(", ")
    )
}

/// Adds the source to the nightly toolchain, or else to the one in use. Toolchains are not updated: that is up to their
/// owner.
fn source_from_rustup() -> Result<()> {
    ensure!(system::find("rustup").is_some(), "there is no rustup here");
    let add = ["component", "add", "rust-src"];
    let of_nightly = shell::run(Command::new("rustup").args(add).args(["--toolchain", "nightly"]));
    if of_nightly.is_ok() && Compiler::find().is_some() {
        return Ok(());
    }
    shell::run(Command::new("rustup").args(add))
}

fn compiler_from_debian() -> Result<()> {
    ensure!(system::is_debian(), "this is not Debian, so its compiler cannot stand in");
    system::install_packages(&DEBIAN_PACKAGES).context("cannot install Debian's compiler")?;
    if system::find("rustup").is_none() {
        return Ok(());
    }
    shell::run(Command::new("rustup").args(["toolchain", "link", LINKED_TOOLCHAIN, "/usr"]))
}

fn install_linker() -> Result<()> {
    let arguments = ["install", "bpf-linker", "--version", LINKER_VERSION, "--locked"];
    shell::run(&mut shell::cargo(arguments)).context("cannot install bpf-linker from crates.io")?;
    ensure!(find_linker().is_some(), "bpf-linker was installed, but not into cargo's folder of programs or the path");
    Ok(())
}
