//! `cargo xtask package`: makes a deb and an rpm of the program, its units, manual and completions, in target/package/.
//!
//! Tools that a normal build does not need are installed below target/package/ and nowhere else; `cargo xtask build`
//! does not need them.

mod check;
mod program;
mod stage;
mod tools;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};

use crate::{setup, shell, system};
use program::Program;
use tools::Tools;

/// What is passed on.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Architectures to build packages for
    #[arg(value_enum, default_values_t = [Processor::Amd64])]
    processors: Vec<Processor>,
    /// Build the program again in another folder, and fail unless the packages are identical to the byte
    #[arg(long)]
    twice: bool,
    /// Pack this program as it is, instead of building one for old hosts and checking it
    #[arg(long, value_name = "FILE", conflicts_with = "twice")]
    program: Option<PathBuf>,
}

/// An architecture, by Debian's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Processor {
    Amd64,
    Arm64,
}

impl Processor {
    fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Its name for rpm, the kernel and rustc.
    fn rpm(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    fn target(self) -> String {
        format!("{}-unknown-linux-gnu", self.rpm())
    }
}

/// The system programs that are used.
const PROGRAMS: [(&str, &str); 5] =
    [("readelf", "binutils"), ("dpkg-deb", "dpkg"), ("lintian", "lintian"), ("rpm2cpio", "rpm2cpio"), ("cpio", "cpio")];

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::ensure_tools()?;
    if let Err(error) = system::ensure_programs(&PROGRAMS) {
        println!("left out: checks of the packages: {error:#}");
    }
    let tools = Tools::ensure()?;
    for &processor in &arguments.processors {
        let packages = match &arguments.program {
            Some(program) => pack(&tools, processor, program)?,
            None => packages(&tools, processor, "build")?,
        };
        for package in &packages {
            check::package(package, &stage_folder())?;
        }
        if arguments.twice {
            is_the_same_again(&tools, processor, &packages)?;
        }
    }
    Ok(())
}

/// Builds the program in a folder, checks it and packs it.
fn packages(tools: &Tools, processor: Processor, build: &str) -> Result<Vec<PathBuf>> {
    let program = Program::build(tools, processor, &folder().join(build))?;
    program.check()?;
    pack(tools, processor, &program.path)
}

/// Stages the files and packs them.
fn pack(tools: &Tools, processor: Processor, program: &Path) -> Result<Vec<PathBuf>> {
    let stage = stage_folder();
    stage::lay_out(program, processor, &date()?, &stage)?;
    let deb = folder().join(format!("trafcalc_{}_{}.deb", env!("CARGO_PKG_VERSION"), processor.debian()));
    pack_deb(tools.command("cargo-deb")?, processor, &deb)?;
    Ok(vec![deb, pack_rpm(tools.command("cargo-generate-rpm")?, processor, &stage)?])
}

/// Packs a program as two versions of the deb, `1.deb` and `2.deb`, into a folder. The configuration of the second asks
/// for maps of another layout.
pub(crate) fn two_versions(program: &Path, into: &Path) -> Result<Vec<PathBuf>> {
    let tools = Tools::ensure_deb()?;
    let stage = stage_folder();
    stage::lay_out(program, Processor::Amd64, &date()?, &stage)?;
    let mut made = Vec::new();
    for number in 1..=2 {
        let package = into.join(format!("{number}.deb"));
        let mut cargo_deb = tools.command("cargo-deb")?;
        // The best compression takes half a minute.
        cargo_deb.args(["--fast", "--deb-version", &format!("{}~{number}", env!("CARGO_PKG_VERSION"))]);
        pack_deb(cargo_deb, Processor::Amd64, &package)?;
        made.push(package);
        stage::change_layout(&stage)?;
    }
    Ok(made)
}

fn pack_deb(mut cargo_deb: Command, processor: Processor, package: &Path) -> Result<()> {
    cargo_deb.args(["--package", "trafcalc", "--no-build", "--no-strip", "--quiet", "--target"]);
    cargo_deb.arg(processor.target()).arg("--output").arg(package);
    shell::run(cargo_deb.env("SOURCE_DATE_EPOCH", epoch()?))
}

fn pack_rpm(mut generate: Command, processor: Processor, stage: &Path) -> Result<PathBuf> {
    let package = folder().join(format!("trafcalc-{}-1.{}.rpm", env!("CARGO_PKG_VERSION"), processor.rpm()));
    let files = folder().join("rpm.toml");
    fs::write(&files, stage::rpm_assets(stage)?)?;
    generate.args(["generate-rpm", "--package", "trafcalc", "--arch", processor.rpm(), "--payload-compress", "gzip"]);
    generate.arg("--metadata-overwrite").arg(&files).arg("--output").arg(&package);
    shell::run(generate.env("SOURCE_DATE_EPOCH", epoch()?))?;
    Ok(package)
}

fn is_the_same_again(tools: &Tools, processor: Processor, packages: &[PathBuf]) -> Result<()> {
    let first = packages.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
    let again = self::packages(tools, processor, "again")?;
    for (package, first) in again.iter().zip(first) {
        ensure!(fs::read(package)? == first, "{} is not the same in a second build", package.display());
        println!("{}: two builds are the same to the byte", package.display());
    }
    Ok(())
}

/// The folder for all of this.
fn folder() -> PathBuf {
    shell::workspace().join("target/package")
}

/// Files at their installed paths. The lists in trafcalc/Cargo.toml name this folder.
fn stage_folder() -> PathBuf {
    folder().join("stage")
}

/// The time of all files in a package, in seconds: that of the last commit, or `SOURCE_DATE_EPOCH`.
fn epoch() -> Result<String> {
    if let Ok(given) = env::var("SOURCE_DATE_EPOCH") {
        return Ok(given);
    }
    let of_commit =
        shell::output(Command::new("git").current_dir(shell::workspace()).args(["log", "-1", "--format=%ct"]));
    Ok(of_commit.context("there is no commit to take the time from: set SOURCE_DATE_EPOCH")?.trim().to_owned())
}

/// The date of [`epoch`].
fn date() -> Result<String> {
    let date = shell::output(Command::new("date").args(["--utc", "+%Y-%m-%d", "--date", &format!("@{}", epoch()?)]))?;
    Ok(date.trim().to_owned())
}
