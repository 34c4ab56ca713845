//! A lock that one process at a time holds. It is a file of its own that only its owner may open: a lock on a file that
//! others may read could be taken by each of them.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// A lock, held until this is dropped. The file stays.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    is_new: bool,
}

/// Why the lock was not taken.
#[derive(Debug)]
pub enum NotLocked {
    /// Another process holds it.
    Taken,
    /// The file belongs to this user, who could take the lock, too.
    Foreign(u32),
    /// The file cannot be created, opened or locked.
    Failed(io::Error),
}

impl Lock {
    /// Takes the lock at `path`, or says why it cannot. Never waits.
    pub fn take(path: &Path) -> Result<Self, NotLocked> {
        loop {
            let (file, is_new) = open(path).map_err(NotLocked::Failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(NotLocked::Taken),
                Err(TryLockError::Error(error)) => return Err(NotLocked::Failed(error)),
            }
            let lock = Self { file, path: path.to_owned(), is_new };
            // A lock file that was removed between opening and locking does not keep out the next process.
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

    /// Removes the file, if this process created it.
    pub fn discard(&self) {
        if self.is_new && self.is_current() {
            // A leftover file does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: until it calls exec, a child that was just forked also has the descriptor.
        let _ = self.file.unlock();
    }
}

/// Whether any other process holds the lock at `path`. Creates and changes nothing. A lock file that is missing or
/// cannot be opened counts as not held.
pub fn is_taken(path: &Path) -> bool {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW);
    // Shared, so that two processes that only look do not disturb each other.
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
