//! Where the service may write and whether it may execute anything, as rules of Landlock, which hold even for root.
//!
//! A process with such rules may not look at processes without them, so there are none where the programs or the descriptors of
//! other processes are looked at.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError,
};

/// The rules of the newest kernel that this knows (Linux 6.2); older ones get those they know.
const NEWEST: ABI = ABI::V3;

/// Rules, not in force yet: nothing is executed, and nothing is written but below `places`. Gives none where the kernel has no
/// Landlock.
///
/// A place that is not there is left out.
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

/// Writing, making, renaming and removing files, folders and sockets; neither devices nor links.
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
