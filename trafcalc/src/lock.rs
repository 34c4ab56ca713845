//! A lock that one process at a time has: a file of its own, which only its owner may open. A lock on a file that others may read
//! could be taken by each of them.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// A lock, held as long as this lives. The file stays.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    is_new: bool,
}

/// Why there is no lock.
#[derive(Debug)]
pub enum NotLocked {
    /// Another process has it.
    Taken,
    /// The file belongs to this user, who could take it, too.
    Foreign(u32),
    /// The file cannot be made, opened or locked.
    Failed(io::Error),
}

impl Lock {
    /// Takes the lock at `path`, or says why not. Never waits.
    pub fn take(path: &Path) -> Result<Self, NotLocked> {
        loop {
            let (file, is_new) = open(path).map_err(NotLocked::Failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(NotLocked::Taken),
                Err(TryLockError::Error(error)) => return Err(NotLocked::Failed(error)),
            }
            let lock = Self { file, path: path.to_owned(), is_new };
            // One that was removed between the two says nothing to whoever comes next.
            if lock.is_current() {
                return lock.checked();
            }
        }
    }

    fn checked(self) -> Result<Self, NotLocked> {
        let uid = self.file.metadata().map_err(NotLocked::Failed)?.uid();
        let us = geteuid().as_raw();
        if uid != us && uid != 0 {
            return Err(NotLocked::Foreign(uid));
        }
        if uid == us {
            self.file.set_permissions(Permissions::from_mode(0o600)).map_err(NotLocked::Failed)?;
        }
        Ok(self)
    }

    fn is_current(&self) -> bool {
        match (fs::symlink_metadata(&self.path), self.file.metadata()) {
            (Ok(named), Ok(open)) => (named.dev(), named.ino()) == (open.dev(), open.ino()),
            _ => false,
        }
    }

    /// Removes the file, if this has made it.
    pub fn discard(&self) {
        if self.is_new && self.is_current() {
            // One that stays does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that was just forked has the descriptor, too, until it runs its program.
        let _ = self.file.unlock();
    }
}

/// Whether another process has the lock at `path`, whoever that is. Makes and changes nothing; a lock that is not there or cannot be
/// opened is not taken.
pub fn is_taken(path: &Path) -> bool {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW);
    // Shared, so that two processes that look do not hinder each other.
    options.open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The file, and whether it is new.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW);
    match options.clone().create_new(true).open(path) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            options.create(true).truncate(false).open(path).map(|file| (file, false))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it_and_nobody_else_may_open_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let first = Lock::take(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert!(matches!(Lock::take(&path), Err(NotLocked::Taken)));
        drop(first);
        Lock::take(&path).unwrap();
    }

    #[test]
    fn a_look_tells_who_has_it_and_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!is_taken(&path) && !path.exists());
        let lock = Lock::take(&path).unwrap();
        assert!(is_taken(&path));
        drop(lock);
        assert!(!is_taken(&path));
        Lock::take(&path).unwrap();
    }

    #[test]
    fn one_that_is_not_ours_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("lock"), folder.path().join("link"));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(Lock::take(&link), Err(NotLocked::Failed(_))));
        assert!(!path.exists());
        if geteuid().is_root() {
            fs::write(&path, "").unwrap();
            std::os::unix::fs::chown(&path, Some(4_242), None).unwrap();
            assert!(matches!(Lock::take(&path), Err(NotLocked::Foreign(4_242))));
        }
    }

    #[test]
    fn only_one_of_our_making_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        Lock::take(&path).unwrap().discard();
        assert!(!path.exists());
        fs::write(&path, "").unwrap();
        Lock::take(&path).unwrap().discard();
        assert!(path.exists());
    }
}
