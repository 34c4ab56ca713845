//! The packaging tools: pinned versions, in folders of their own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::folder;
use crate::{shell, system};

/// Prebuilt from `PyPI`: a linker and C compiler for any C library, and the cargo command that uses it.
const FROM_PYPI: [&str; 2] = ["ziglang==0.17.1", "cargo-zigbuild==0.24.1"];
/// From crates.io: the tools that pack a deb and an rpm.
const FROM_CRATES: [(&str, &str); 2] = [("cargo-deb", "3.8.0"), ("cargo-generate-rpm", "0.21.1")];

/// Where the tools are installed.
pub(super) struct Tools {
    venv: PathBuf,
    crates: PathBuf,
}

impl Tools {
    /// Installs missing tools.
    pub(super) fn ensure() -> Result<Self> {
        let tools = Self::with_crates(&FROM_CRATES)?;
        if !tools.zigbuild().is_file() {
            tools.install_zig()?;
        }
        Ok(tools)
    }

    /// Installs only what a deb needs.
    pub(super) fn ensure_deb() -> Result<Self> {
        Self::with_crates(&FROM_CRATES[..1])
    }

    fn with_crates(crates: &[(&str, &str)]) -> Result<Self> {
        let tools = Self { venv: folder().join("zig"), crates: folder().join("tools") };
        for (name, version) in crates {
            if !tools.crates.join("bin").join(name).is_file() {
                tools.install_crate(name, version)?;
            }
        }
        Ok(tools)
    }

    /// An installed cargo command, to be run in the workspace.
    pub(super) fn command(&self, name: &str) -> Result<Command> {
        let program = self.crates.join("bin").join(name);
        ensure!(program.is_file(), "{} is not there", program.display());
        let mut command = Command::new(program);
        command.current_dir(shell::workspace());
        Ok(command)
    }

    /// The path of cargo-zigbuild.
    pub(super) fn zigbuild(&self) -> PathBuf {
        self.venv.join("bin/cargo-zigbuild")
    }

    /// The PATH in which it finds zig.
    pub(super) fn path(&self) -> Result<std::ffi::OsString> {
        let old = std::env::var_os("PATH").unwrap_or_default();
        let dirs = [self.venv.join("bin")].into_iter().chain(std::env::split_paths(&old));
        std::env::join_paths(dirs).context("a folder of the path has a colon in its name")
    }

    fn install_zig(&self) -> Result<()> {
        let make = || shell::run(Command::new("python3").args(["-m", "venv"]).arg(&self.venv));
        if make().is_err() {
            // Debian has the venv module in a separate package.
            system::install_packages(&["python3-venv"])?;
            make()?;
        }
        let mut pip = Command::new(self.venv.join("bin/pip"));
        shell::run(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(FROM_PYPI))
            .context("cannot install zig from PyPI")
    }

    fn install_crate(&self, name: &str, version: &str) -> Result<()> {
        let mut cargo = shell::cargo(["install", "--locked", "--quiet", "--version", version, name, "--root"]);
        shell::run(cargo.arg(&self.crates).env("CARGO_TARGET_DIR", folder().join("tools-build")))
            .with_context(|| format!("cannot install {name} from crates.io"))
    }
}
