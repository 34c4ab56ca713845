//! Going to another cgroup.

use std::path::Path;

use anyhow::{Context as _, Result};

/// Has this process enter the cgroup with this folder, and gives its name.
pub(super) fn enter(folder: &Path) -> Result<String> {
    std::fs::write(folder.join("cgroup.procs"), "0").with_context(|| format!("cannot enter {}", folder.display()))?;
    Ok(folder.file_name().context("it has no name")?.to_string_lossy().into_owned())
}
