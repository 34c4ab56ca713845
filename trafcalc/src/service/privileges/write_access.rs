//! Landlock rules that limit where the service may write and forbid it to execute anything. They hold even for root.
//!
//! A process with such rules may not read processes without them, so there are none if the service reads the programs or descriptors of
//! other processes.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError,
};

/// The newest set of rules that this module uses (Linux 6.2); older kernels get those that they know.
const NEWEST: ABI = ABI::V3;

/// Builds rules that are not yet in force: nothing is executed, and nothing is written except below `places`. `None` if the kernel has
/// no Landlock.
///
/// A place that does not exist is left out.
pub(super) fn rules(places: &[PathBuf]) -> Result<Option<OwnedFd>, RulesetError> {
    let handled = AccessFs::from_write(NEWEST) | AccessFs::Execute;
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(handled)?.create()?;
    for place in places {
        if let Ok(opened) = PathFd::new(place) {
            ruleset = ruleset.add_rule(PathBeneath::new(opened, written(place)))?;
        }
    }
    Ok(ruleset.into())
}

/// Permits writing, creating, renaming and removing files, folders and sockets; neither devices nor links.
fn written(place: &Path) -> BitFlags<AccessFs> {
    let file = AccessFs::WriteFile | AccessFs::Truncate;
    if !place.is_dir() {
        return file;
    }
    file | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSock
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer
}
