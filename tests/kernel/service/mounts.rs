//! Mounts that only the service under test sees.

use std::path::Path;

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Has the calling thread, and the processes it starts, see `file` in place of `over`.
pub(super) fn see_instead(file: &Path, over: &str) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    let nothing = None::<&Path>;
    // Else the mount would show outside, too.
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    mount(Some(file), over, nothing, MsFlags::MS_BIND, nothing).with_context(|| format!("cannot mount over {over}"))
}
