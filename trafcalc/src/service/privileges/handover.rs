//! The files that the service writes, handed over to the user that it becomes: what root wrote before, and what that user may not make.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::{self, Gid, Uid, geteuid};

use super::account;

/// The group of those who read logs.
const LOG_READERS: &str = "adm";

/// What the service writes, which has to be the user's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files, where they are there; nothing else is at their paths.
    pub files: Vec<PathBuf>,
    /// Files that are made, with these permissions, where they are not there and the user could not make them.
    pub made: Vec<(PathBuf, u32)>,
    /// A folder that nobody else uses, with all that is in it: that of the programs that are kept.
    pub tree: Option<PathBuf>,
    /// Folders that nobody else uses, without what is in them; made with these permissions where they are not there.
    pub folders: Vec<(PathBuf, u32)>,
}

/// Whose files become whose.
pub(super) struct Handover<'a> {
    /// Only what belongs to one of these users; beside each, the group that is its own.
    pub(super) from: &'a [(Uid, Gid)],
    pub(super) to: (Uid, Gid),
}

impl Handover<'_> {
    /// What cannot be given stays whose it is, and whoever writes it later says what that means.
    pub(super) fn give(&self, written: &Written) {
        for (folder, mode) in &written.folders {
            if !self.to.0.is_root() && is_of_root(folder_of(folder)) {
                // One that is there is given only if it is theirs.
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
        // A group that somebody chose stays.
        let was_own = |gid: u32| self.from.iter().any(|(_, own)| own.as_raw() == gid);
        let gid = file.metadata().ok().filter(|metadata| was_own(metadata.gid())).map(|_| self.to.1);
        let _ = unistd::fchown(file, Some(self.to.0), gid);
    }

    /// Only in a folder of root's. The file is new, so it is nobody else's, even if a group may write the folder.
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

    /// A folder of a BPF file system has neither links nor other file systems in it, and is closed to others. One that is the user's
    /// already may have something in it that is not.
    fn give_tree(&self, tree: &Path) {
        let Ok(metadata) = fs::symlink_metadata(tree) else { return };
        let is_of_either = self.is_theirs(metadata.uid()) || metadata.uid() == self.to.0.as_raw();
        if !is_of_either || metadata.mode() & 0o022 != 0 || !metadata.is_dir() {
            return;
        }
        for entry in fs::read_dir(tree).into_iter().flatten().flatten() {
            match entry.file_type() {
                // The kernel's own, such as `maps.debug`.
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

/// Lets those who read logs read a new one.
pub fn share_log(log: &Path) {
    if let (Some(group), Some(file)) = (account::group(LOG_READERS), opened(log, libc::S_IWOTH))
        // Of our own making, and a group that somebody chose stays.
        && file.metadata().is_ok_and(|metadata| {
            (metadata.uid(), metadata.gid()) == (geteuid().as_raw(), unistd::getegid().as_raw())
        })
    {
        // Where it cannot be changed, the user's own group reads it.
        let _ = unistd::fchown(&file, None, Some(group));
    }
}

/// Others than the owner who may write a folder: its group and everybody.
const OTHERS: u32 = libc::S_IWGRP | libc::S_IWOTH;

/// The file at a path, unless one of these `others` can have put it there.
fn opened(path: &Path, others: u32) -> Option<File> {
    // In a folder that others may write, they may have made it, with a link to something of root's, or moved it there.
    let is_shared = fs::metadata(folder_of(path)).map_or(true, |folder| folder.mode() & others != 0);
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    (!is_shared && metadata.is_file() && metadata.nlink() == 1).then_some(file)
}

/// Whether a folder is root's, and not everybody may write it.
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
