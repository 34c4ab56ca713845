//! Fetches packages of another suite or architecture than this machine's, with an apt configuration and package lists
//! of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::cache;
use super::kernel::Processor;
use crate::shell;

/// A suite of an archive.
#[derive(Clone, Copy)]
pub(super) struct Suite {
    /// `debian` or `debian-security`: the end of the archive's URL.
    pub(super) archive: &'static str,
    pub(super) name: &'static str,
}

/// apt for a suite.
pub(super) struct Apt {
    config: PathBuf,
    dir: PathBuf,
}

impl Apt {
    /// Reads the current lists of packages for `processor` from the mirror that this machine uses.
    pub(super) fn new(suite: Suite, processor: Processor) -> Result<Self> {
        let dir = cache().join("apt").join(suite.name).join(processor.debian());
        for part in ["state", "cache", "parts"] {
            fs::create_dir_all(dir.join(part)).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let apt = Self { config: dir.join("apt.conf"), dir };
        apt.configure(suite, processor)?;
        shell::run(apt.command("apt-get").args(["update", "--quiet=2"]))?;
        Ok(apt)
    }

    fn configure(&self, suite: Suite, processor: Processor) -> Result<()> {
        let path = |name: &str| self.dir.join(name).display().to_string();
        let line = format!("deb [{}] {} {} main\n", signed_by(), mirror(suite.archive)?, suite.name);
        fs::write(path("sources.list"), line)?;
        fs::write(path("status"), "")?;
        let settings = [
            ("Dir::State", path("state")),
            ("Dir::State::status", path("status")),
            ("Dir::Cache", path("cache")),
            ("Dir::Etc::sourcelist", path("sources.list")),
            ("Dir::Etc::sourceparts", path("parts")),
            ("Acquire::Languages", "none".into()),
            ("APT::Architecture", processor.debian().into()),
            // apt's download user cannot enter this folder.
            ("APT::Sandbox::User", "root".into()),
        ];
        let lines: Vec<_> = settings.iter().map(|(name, value)| format!("{name} \"{value}\";\n")).collect();
        fs::write(&self.config, lines.concat()).with_context(|| format!("cannot write {}", self.config.display()))
    }

    /// The names of packages with this prefix.
    pub(super) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = shell::output(self.command("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Downloads a package and unpacks it into a folder.
    pub(super) fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let downloads = self.dir.join("downloads");
        fs::create_dir_all(&downloads)?;
        shell::run(self.command("apt-get").current_dir(&downloads).args(["download", "--quiet=2", package]))?;
        for file in fs::read_dir(&downloads)? {
            shell::run(Command::new("dpkg-deb").arg("-x").arg(file?.path()).arg(into))?;
        }
        fs::remove_dir_all(&downloads).context("cannot remove a downloaded package")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config);
        command
    }
}

/// The URL of this archive on the mirror that this machine uses, or beside that of another Debian archive.
pub(super) fn mirror(archive: &str) -> Result<String> {
    let used = shell::output(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]))?;
    among(&used, archive).with_context(|| format!("apt on this machine knows no archive of Debian's, as {archive} is"))
}

fn among(used: &str, archive: &str) -> Option<String> {
    let addresses = || used.lines().map(|address| address.trim_end_matches('/'));
    let is_last = |address: &&str| address.rsplit('/').next() == Some(archive);
    let beside = |address: &str| {
        let (host, last) = address.rsplit_once('/')?;
        ["debian", "debian-security"].contains(&last).then(|| format!("{host}/{archive}"))
    };
    addresses().find(is_last).map(str::to_owned).or_else(|| addresses().find_map(beside))
}

/// The archives are Debian's own, also on Debian-based systems, whose keys did not sign them.
fn signed_by() -> &'static str {
    "signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_looked_for_where_the_machine_looks() {
        let used = "http://a.test/debian/\nhttp://b.test/debian-security\nhttp://c.test/other\n";
        assert_eq!(among(used, "debian-security").as_deref(), Some("http://b.test/debian-security"));
        assert_eq!(
            among("http://c.test/other\nhttp://a.test/debian/", "debian-security").as_deref(),
            Some("http://a.test/debian-security")
        );
        assert_eq!(among("http://c.test/other", "debian"), None);
    }
}
