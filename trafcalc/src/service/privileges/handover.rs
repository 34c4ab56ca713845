//! Hands the files that the service writes over to the user that it becomes: what root wrote before, and what that user may not create.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::{self, Gid, Uid, geteuid};

use super::account;

/// The group whose members may read logs.
const LOG_READERS: &str = "adm";

/// What the service writes, which must belong to its user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files, if they exist; nothing else is at their paths.
    pub files: Vec<PathBuf>,
    /// Files that are created with these permissions, if they do not exist and the user could not create them.
    pub made: Vec<(PathBuf, u32)>,
    /// A folder that nothing else uses, with its content: that of pinned programs.
    pub tree: Option<PathBuf>,
    /// Folders that nothing else uses, without their content; created with these permissions if they do not exist.
    pub folders: Vec<(PathBuf, u32)>,
}

/// The former owners and the new owner of handed-over files.
pub(super) struct Handover<'a> {
    /// Only files of these users are handed over; beside each user its own group.
    pub(super) from: &'a [(Uid, Gid)],
    pub(super) to: (Uid, Gid),
}

impl Handover<'_> {
    /// What cannot be handed over keeps its owner. A later write to it reports the consequence.
    pub(super) fn give(&self, written: &Written) {
        for (folder, mode) in &written.folders {
            if !self.to.0.is_root() && is_of_root(folder_of(folder)) {
                // An existing folder is handed over only if it belongs to a user in `from`.
                let _ = DirBuilder::new().mode(*mode).create(folder);
            }
            self.give_folder(folder);
        }
        for file in &written.files {
            if let Some(file) = opened(file, OTHERS).filter(|file| self.has(file)) {
                self.give_file(&file);
            }
        }
        for (path, mode) in &written.made {
            self.make(path, *mode);
        }
        if let Some(tree) = &written.tree {
            self.give_tree(tree);
        }
    }

    fn give_file(&self, file: &File) {
        // A group that an administrator chose stays.
        let was_own = |gid: u32| self.from.iter().any(|(_, own)| own.as_raw() == gid);
        let gid = file.metadata().ok().filter(|metadata| was_own(metadata.gid())).map(|_| self.to.1);
        let _ = unistd::fchown(file, Some(self.to.0), gid);
    }

    /// Only in a folder of root's. The file is new, so nobody else placed it there, even if a group may write the folder.
    fn make(&self, path: &Path, mode: u32) {
        if !is_of_root(folder_of(path)) {
            return;
        }
        let mut options = OpenOptions::new();
        if let Ok(file) = options.write(true).create_new(true).mode(mode).open(path) {
            let _ = unistd::fchown(&file, Some(self.to.0), Some(self.to.1));
        }
    }

    fn give_folder(&self, folder: &Path) {
        let mut options = OpenOptions::new();
        let opened = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY).open(folder);
        let Ok(opened) = opened else { return };
        if opened.metadata().is_ok_and(|metadata| self.is_theirs(metadata.uid())) {
            let _ = unistd::fchown(opened.as_fd(), Some(self.to.0), Some(self.to.1));
        }
    }

    /// A folder of a BPF file system contains neither links nor other file systems, and is closed to others. A folder that belongs to
    /// the user already may contain something that does not.
    fn give_tree(&self, tree: &Path) {
        let Ok(metadata) = fs::symlink_metadata(tree) else { return };
        let is_of_either = self.is_theirs(metadata.uid()) || metadata.uid() == self.to.0.as_raw();
        if !is_of_either || metadata.mode() & 0o022 != 0 || !metadata.is_dir() {
            return;
        }
        for entry in fs::read_dir(tree).into_iter().flatten().flatten() {
            match entry.file_type() {
                // Created by the kernel, such as `maps.debug`.
                _ if entry.file_name().as_encoded_bytes().contains(&b'.') => {}
                Ok(kind) if kind.is_dir() => self.give_tree(&entry.path()),
                _ => {
                    let (uid, gid) = (self.to.0.as_raw(), self.to.1.as_raw());
                    let _ = std::os::unix::fs::lchown(entry.path(), Some(uid), Some(gid));
                }
            }
        }
        self.give_folder(tree);
    }

    fn has(&self, file: &File) -> bool {
        file.metadata().is_ok_and(|metadata| self.is_theirs(metadata.uid()))
    }

    fn is_theirs(&self, uid: u32) -> bool {
        self.from.iter().any(|(theirs, _)| theirs.as_raw() == uid)
    }
}

/// Lets members of the group of log readers read a new log.
pub fn share_log(log: &Path) {
    if let (Some(group), Some(file)) = (account::group(LOG_READERS), opened(log, libc::S_IWOTH))
        // Created by this process; a group that an administrator chose stays.
        && file.metadata().is_ok_and(|metadata| {
            (metadata.uid(), metadata.gid()) == (geteuid().as_raw(), unistd::getegid().as_raw())
        })
    {
        // If the group cannot be changed, the user's own group may read it.
        let _ = unistd::fchown(&file, None, Some(group));
    }
}

/// Write permissions of others than the owner: its group and everybody.
const OTHERS: u32 = libc::S_IWGRP | libc::S_IWOTH;

/// Opens the file at a path, unless one of these `others` can have put it there.
fn opened(path: &Path, others: u32) -> Option<File> {
    // In a folder that others may write, they may have created it as a link to something of root's, or moved it there.
    let is_shared = fs::metadata(folder_of(path)).map_or(true, |folder| folder.mode() & others != 0);
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    (!is_shared && metadata.is_file() && metadata.nlink() == 1).then_some(file)
}

/// Whether a folder belongs to root and is not writable by everybody.
fn is_of_root(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|folder| folder.uid() == 0 && folder.mode() & libc::S_IWOTH == 0)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    const OURS: u32 = 4_242;

    fn to(uid: u32, from: &[u32], written: &Written) {
        let from: Vec<_> = from.iter().map(|&id| (Uid::from_raw(id), Gid::from_raw(id))).collect();
        Handover { from: &from, to: (uid.into(), uid.into()) }.give(written);
    }

    fn of_files(files: Vec<PathBuf>) -> Written {
        Written { files, ..Written::default() }
    }

    #[test]
    fn only_files_that_nobody_else_can_have_put_there_are_given_away() {
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["log", "linked", "secret"] {
            fs::write(path(name), "").unwrap();
        }
        fs::hard_link(path("linked"), path("second")).unwrap();
        symlink(path("secret"), path("symlink")).unwrap();
        to(OURS, &[0], &of_files(["log", "linked", "symlink", "missing"].map(path).to_vec()));
        let owner = |name: &str| fs::metadata(path(name)).unwrap().uid();
        assert_eq!(["log", "linked", "secret"].map(owner), [OURS, 0, 0]);
        for (mode, who) in [(0o1777, "everybody"), (0o775, "members of the group")] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            fs::write(path("another"), "").unwrap();
            to(OURS, &[0], &of_files(vec![path("another")]));
            assert_eq!(owner("another"), 0, "{who} may have put it there");
        }
    }

    #[test]
    fn what_the_user_may_not_make_is_made_and_what_is_there_is_left_alone() {
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let below = folder.path().join("below");
        let (made, folders) = (vec![(log.clone(), 0o640)], vec![(below.clone(), 0o750)]);
        let written = Written { made, folders, ..Written::default() };
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        to(OURS, &[0], &written);
        assert!(!log.exists() && !below.exists(), "the user makes them in a folder in which everybody may");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o775)).unwrap();
        to(OURS, &[0], &written);
        let metadata = fs::metadata(&log).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (OURS, OURS));
        let metadata = fs::metadata(&below).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (OURS, 0o750));
        chown(&log, Some(1), None).unwrap();
        to(OURS, &[0], &written);
        assert_eq!(fs::metadata(&log).unwrap().uid(), 1);
    }

    #[test]
    fn root_takes_back_what_the_user_wrote_and_nothing_of_another_user() {
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let [ours, theirs, chosen] = ["ours", "theirs", "chosen"].map(|name| folder.path().join(name));
        for (path, uid, gid) in [(&ours, OURS, OURS), (&theirs, 1, 1), (&chosen, OURS, 4)] {
            fs::write(path, "").unwrap();
            chown(path, Some(uid), Some(gid)).unwrap();
        }
        to(0, &[OURS], &of_files(vec![ours.clone(), theirs.clone(), chosen.clone()]));
        let owner = |path: &Path| fs::metadata(path).map(|metadata| (metadata.uid(), metadata.gid())).unwrap();
        assert_eq!([owner(&ours), owner(&theirs), owner(&chosen)], [(0, 0), (1, 1), (0, 4)]);
    }
}
