//! Builds the kernel half, so that a plain `cargo build` is never stale. With the feature `ebpf` left out it does nothing.
//!
//! It never installs anything: what is missing comes from `cargo xtask setup`. The build inside the build has its own
//! target folder (cargo would wait for itself) and sees none of the outer build's settings.

mod debug;
mod toolchain;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;
use toolchain::{Compiler, find_linker};

const SETUP: &str = "the kernel half needs a compiler with the source of `core` and bpf-linker: run `cargo xtask setup` \
                     once, or build without them by `--no-default-features`";
/// The objects, by the names of their binaries in `trafcalc-ebpf`.
const OBJECTS: [&str; 2] = ["users", "actors"];
/// Set by the benchmark, for programs that do nothing.
const EMPTY: &str = "TRAFCALC_EBPF_EMPTY";

fn main() {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-env-changed=TRAFCALC_EBPF_OBJECTS");
    println!("cargo::rerun-if-env-changed={EMPTY}");
    if env::var_os("CARGO_FEATURE_EBPF").is_none() {
        return;
    }
    if let Err(message) = provide_objects() {
        println!("cargo::error={message}");
    }
}

fn provide_objects() -> Result<(), String> {
    let ready = env::var_os("TRAFCALC_EBPF_OBJECTS").map(PathBuf::from);
    let dir = ready.clone().map_or_else(build_objects, Ok)?;
    for name in OBJECTS {
        let object = dir.join(name);
        // Those that are built here are newer than this run's beginning: to cargo they would be changed, and the next build begin anew.
        if ready.is_some() {
            println!("cargo::rerun-if-changed={}", object.display());
        }
        let whole =
            fs::read(&object).map_err(|error| format!("cannot read the eBPF object {}: {error}", object.display()))?;
        let stripped = debug::without(&whole)
            .map_err(|error| format!("cannot read the eBPF object {}: {error}", object.display()))?;
        let packed = variable("OUT_DIR").join(name).with_extension("gz");
        pack(&stripped, &packed).map_err(|error| format!("cannot write {}: {error}", packed.display()))?;
    }
    Ok(())
}

/// An object takes a sixth of its size when it is packed.
fn pack(object: &[u8], file: &Path) -> io::Result<()> {
    let mut packed = GzEncoder::new(fs::File::create(file)?, Compression::best());
    packed.write_all(object)?;
    packed.finish().map(drop)
}

/// Compiles `trafcalc-ebpf` for the kernel's machine and gives the folder of the objects.
fn build_objects() -> Result<PathBuf, String> {
    let workspace = variable("CARGO_MANIFEST_DIR").join("..");
    for part in ["trafcalc-ebpf", "trafcalc-common", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(part).display());
    }
    let compiler = Compiler::find().ok_or(SETUP)?;
    let linker = find_linker().ok_or(SETUP)?;
    println!("cargo::rerun-if-changed={}", linker.display());
    println!("cargo::rerun-if-changed={}", compiler.program("rustc").display());

    let target_dir = shared_target_dir();
    let mut cargo =
        cargo_build(&compiler, &linker).map_err(|error| format!("cannot prepare the eBPF build: {error}"))?;
    cargo.current_dir(&workspace).arg("--target-dir").arg(&target_dir);
    let output = cargo.output().map_err(|error| format!("cannot start {cargo:?}: {error}"))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("building trafcalc-ebpf failed\n{messages}").replace('\n', "\ncargo::error="));
    }
    if messages.contains("warning: ") {
        messages.lines().for_each(|line| println!("cargo::warning={line}"));
    }
    Ok(target_dir.join(kernel_machine()).join("release"))
}

/// `cargo build` for the kernel. The linker takes the first libLLVM it finds in `LD_LIBRARY_PATH`, whatever its
/// version, so that path leads to a folder with the right one alone.
fn cargo_build(compiler: &Compiler, linker: &Path) -> io::Result<Command> {
    let llvm_dir = variable("OUT_DIR").join("llvm");
    link_alone(&compiler.llvm, &llvm_dir)?;
    let mut cargo = Command::new(compiler.program("cargo"));
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_outer_build(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    cargo.args(["build", "--locked", "--release", "--package", "trafcalc-ebpf", "-Zbuild-std=core"]);
    cargo.args(["--target", kernel_machine()]);
    cargo.args(env::var_os(EMPTY).map(|_| "--features=empty"));
    cargo.env("LD_LIBRARY_PATH", llvm_dir).env("PATH", path_with(compiler)).env("RUSTC", compiler.program("rustc"));
    cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", rust_flags(&compiler.sysroot, linker));
    // The linker makes the BTF from the debug information.
    cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "2").env("CARGO_PROFILE_RELEASE_STRIP", "none");
    Ok(cargo)
}

fn path_with(compiler: &Compiler) -> OsString {
    let old = env::var_os("PATH").unwrap_or_default();
    let dirs = [compiler.sysroot.join("bin")].into_iter().chain(env::split_paths(&old));
    env::join_paths(dirs).unwrap_or(old)
}

fn rust_flags(sysroot: &Path, linker: &Path) -> String {
    let machine = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let linking = [
        format!("--cfg=bpf_target_arch=\"{machine}\""),
        format!("-Clinker={}", linker.display()),
        "-Clink-arg=--btf".into(),
    ];
    // The object's BTF names source files: the same on every machine, so that the object is, too.
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let workspace = variable("CARGO_MANIFEST_DIR").parent().map(Path::to_owned);
    let folders = [(workspace, "/trafcalc"), (cargo_home, "/cargo"), (Some(sysroot.to_owned()), "/rust")];
    let remap =
        |(folder, name): (Option<PathBuf>, &str)| Some(format!("--remap-path-prefix={}={name}", folder?.display()));
    linking.into_iter().chain(folders.into_iter().filter_map(remap)).collect::<Vec<_>>().join("\x1f")
}

fn kernel_machine() -> &'static str {
    match env::var("CARGO_CFG_TARGET_ENDIAN").as_deref() {
        Ok("big") => "bpfeb-unknown-none",
        _ => "bpfel-unknown-none",
    }
}

/// Debug and release builds share one folder: `core` takes a minute, and the object is the same.
fn shared_target_dir() -> PathBuf {
    // OUT_DIR is <target>/<profile>/build/<package>-<hash>/out.
    let out = variable("OUT_DIR");
    out.ancestors().nth(4).unwrap_or(&out).join("bpf")
}

/// What cargo and rustup tell a build script, and what a user sets for the outer build, would mislead the inner one.
fn is_of_outer_build(name: &str) -> bool {
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_SOURCE_", "RUSTUP_HOME"];
    (name.starts_with("CARGO") || name.starts_with("RUST")) && !KEPT.iter().any(|kept| name.starts_with(kept))
}

fn link_alone(file: &Path, dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(dir)?,
    }
    std::os::unix::fs::symlink(file, dir.join(file.file_name().unwrap_or_default()))
}

/// A variable that cargo sets for every build script.
fn variable(name: &str) -> PathBuf {
    env::var_os(name).map(PathBuf::from).unwrap_or_default()
}
