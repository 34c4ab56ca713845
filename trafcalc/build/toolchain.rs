//! Finds what the kernel half is built with: a compiler that has the source of `core`, and bpf-linker.
//!
//! Shared by the build script, which uses them, and by `cargo xtask setup`, which installs what is not found. It never
//! installs or changes anything itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The version that fits [`LLVM_MAJOR`].
pub(crate) const LINKER_VERSION: &str = "0.10.3";
/// The LLVM that this bpf-linker is written for. It reads what the compiler wrote, so the compiler has the same.
const LLVM_MAJOR: &str = "22";
/// What setup links where rustup has no source of `core`.
pub(crate) const LINKED_TOOLCHAIN: &str = "trafcalc-bpf";

/// A toolchain that can build `core`.
pub(crate) struct Compiler {
    /// The folder with its `bin` and `lib`.
    pub(crate) sysroot: PathBuf,
    /// Its LLVM, as a shared library.
    pub(crate) llvm: PathBuf,
}

impl Compiler {
    /// The toolchain that setup linked, the nightly, or the one of the outer build: the first that fits.
    pub(crate) fn find() -> Option<Self> {
        let linked = [LINKED_TOOLCHAIN, "nightly"].into_iter().filter_map(rustup_sysroot);
        linked.chain(own_sysroot()).find_map(Self::at)
    }

    fn at(sysroot: PathBuf) -> Option<Self> {
        let has_source = sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").exists();
        let llvm = find_llvm(&sysroot)?;
        let compiler = Self { sysroot, llvm };
        (has_source && compiler.program("cargo").exists() && compiler.has_right_llvm()).then_some(compiler)
    }

    /// One of its programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.sysroot.join("bin").join(name)
    }

    fn has_right_llvm(&self) -> bool {
        let version = output(Command::new(self.program("rustc")).arg("-vV")).unwrap_or_default();
        version.lines().any(|line| line.starts_with(&format!("LLVM version: {LLVM_MAJOR}.")))
    }
}

/// The path of bpf-linker, in cargo's own folder or elsewhere in the path.
pub(crate) fn find_linker() -> Option<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = cargo_home.map(|home| home.join("bin")).into_iter().chain(env::split_paths(&path));
    dirs.map(|dir| dir.join("bpf-linker")).find(|program| is_right_linker(program))
}

fn is_right_linker(program: &Path) -> bool {
    program.is_file()
        && output(Command::new(program).arg("--version")).is_some_and(|version| version.contains(LINKER_VERSION))
}

/// rustup's toolchains have it beside them, distributions in the folder of libraries.
fn find_llvm(sysroot: &Path) -> Option<PathBuf> {
    let multiarch = format!("lib/{}-linux-gnu", env::consts::ARCH);
    let prefix = format!("libLLVM.so.{LLVM_MAJOR}");
    ["lib", "lib64", &multiarch].iter().find_map(|lib| {
        let files = fs::read_dir(sysroot.join(lib)).ok()?;
        files.flatten().find(|file| file.file_name().to_string_lossy().starts_with(&prefix)).map(|file| file.path())
    })
}

fn rustup_sysroot(toolchain: &str) -> Option<PathBuf> {
    let rustc = output(Command::new("rustup").args(["which", "--toolchain", toolchain, "rustc"]))?;
    Some(Path::new(rustc.trim()).parent()?.parent()?.to_owned())
}

fn own_sysroot() -> Option<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = output(Command::new(rustc).args(["--print", "sysroot"]))?;
    Some(PathBuf::from(sysroot.trim()))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
