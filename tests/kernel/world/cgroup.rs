//! Cgroups (version 2) of our own.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How long the kernel may take to let go of processes that have ended.
const EMPTYING: Duration = Duration::from_secs(5);

/// A cgroup; it is removed when dropped.
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// One with this name, in the root of the hierarchy.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let path = root().context("no hierarchy of cgroups is mounted")?.join(name);
        // One that a run left behind which was killed.
        let _ = std::fs::remove_dir(&path);
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let deadline = Instant::now() + EMPTYING;
        while std::fs::remove_dir(&self.0).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Where the hierarchy is mounted.
fn root() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/mounts").ok()?;
    let is_cgroups = |line: &&str| line.split(' ').nth(2) == Some("cgroup2");
    mounts.lines().find(is_cgroups)?.split(' ').nth(1).map(PathBuf::from)
}
