//! A directory of users that only the service under test asks, which may be slow or down: an NSS module that the test
//! compiles, in a folder of its own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

/// Where the system says which directories there are.
pub(super) const NSSWITCH: &str = "/etc/nsswitch.conf";
/// What the service finds there: the host's own users, and those of the module `libnss_trafcalc.so.2`.
const SWITCH: &str = "passwd: files trafcalc\ngroup: files\n";
const SOURCE: &str = include_str!("nss.c");

/// The directory, as long as it lives.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    folder: std::sync::Arc<TempDir>,
}

/// What is missing for one, if anything is.
pub(crate) fn no_directory() -> Option<&'static str> {
    let has_compiler = Command::new("cc").arg("--version").output().is_ok_and(|output| output.status.success());
    (!has_compiler || !Path::new(NSSWITCH).exists()).then_some("there is no C compiler, or no /etc/nsswitch.conf")
}

impl Directory {
    /// One with nobody in it, which answers at once.
    pub(crate) fn new() -> Result<Self> {
        let folder = TempDir::with_prefix("trafcalc-directory-")?;
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("nss.c"), SOURCE)?;
        std::fs::write(path("nsswitch.conf"), SWITCH)?;
        std::fs::write(path("users"), "")?;
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-D_GNU_SOURCE", "-Wall", "-Werror"])
            .arg(format!("-DFOLDER=\"{}\"", folder.path().display()))
            .arg("-o")
            .args([path("libnss_trafcalc.so.2"), path("nss.c")])
            .output()
            .context("cannot run cc")?;
        ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
        Ok(Self { folder: folder.into() })
    }

    /// Has these users in it.
    pub(crate) fn set_users(&self, users: impl IntoIterator<Item = (String, u32)>) -> Result<()> {
        let mut text = String::new();
        for (name, uid) in users {
            writeln!(text, "{name} {uid}")?;
        }
        self.replace("users", &text)
    }

    /// Has each answer take so long.
    pub(crate) fn set_delay(&self, delay: Duration) -> Result<()> {
        self.replace("delay_ms", &delay.as_millis().to_string())
    }

    /// Has it give no answer from now on.
    pub(crate) fn go_down(&self) -> Result<()> {
        self.replace("down", "")
    }

    /// Has it answer again.
    pub(crate) fn come_up(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.path("down"))?)
    }

    /// Has nothing be at the socket of its server from now on.
    pub(crate) fn vanish(&self) -> Result<()> {
        self.replace("gone", "")
    }

    /// Where the module is.
    pub(super) fn modules(&self) -> &Path {
        self.folder.path()
    }

    /// What the service is to find at [`NSSWITCH`].
    pub(super) fn switch(&self) -> PathBuf {
        self.path("nsswitch.conf")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file at once, so that the module never reads a part of it.
    fn replace(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.path("new"), text)?;
        Ok(std::fs::rename(self.path("new"), self.path(name))?)
    }
}
