//! Keeps programs and maps when the process ends: in a folder of a BPF file system, or in a BPF file system of which systemd holds the
//! only descriptor.
//!
//! A file system that is mounted nowhere lives as long as its descriptor. systemd's file descriptor store holds that during a restart
//! of the service, and closes it when the unit is stopped, which frees everything. Creating such a file system takes `CAP_SYS_ADMIN`,
//! which the service need not have: the unit runs `trafcalc store` before it, which creates one for it.
#![expect(unsafe_code, reason = "calls that no crate makes, and descriptors that systemd hands over")]

use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::statfs::{BPF_FS_MAGIC, fstatfs};
use nix::unistd::{AccessFlags, faccessat, geteuid, pipe};
use sd_notify::NotifyState;

/// The name of the descriptor of the file system in use, in systemd's store.
const NAME: &str = "trafcalc-bpf";
/// The name of a new file system, made before the service was started, which may not need it.
const NEW: &str = "trafcalc-bpf-new";

/// How long the former process may take to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long systemd may take to read a notification.
const STORE_PATIENCE_MS: u16 = 10_000;

/// Why nothing is kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The folder cannot be made or opened.
    #[error("{} cannot be used to keep eBPF programs and counters: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder does not exist.
    #[error("there is no folder {}, so nothing is kept in it", .0.display())]
    Nothing(PathBuf),
    /// The folder is in another kind of file system.
    #[error("{} is not in a BPF file system: mount one (mount -t bpf bpf /sys/fs/bpf) and name a folder in it", .0.display())]
    NotBpf(PathBuf),
    /// Other users may write the folder.
    #[error("{} may be written by other users: what they put there would be taken for ours", .0.display())]
    Shared(PathBuf),
    /// The folder is locked.
    #[error("{} is used by a service that runs: stop it first", .0.display())]
    InUse(PathBuf),
    /// A BPF file system cannot be made.
    #[error("making a BPF file system for systemd to keep failed: {0}")]
    Make(io::Error),
    /// systemd does not take the descriptor.
    #[error("systemd does not keep the eBPF programs and counters: {0}")]
    Systemd(io::Error),
}

/// The folder of pinned programs and maps, locked as long as this lives.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    /// The configured path, if it is a folder that has one.
    named: Option<PathBuf>,
    lock: File,
    /// Holds the file system, if it is mounted nowhere.
    _descriptor: Option<OwnedFd>,
    /// A new file system, in case the one in use turns out to be unusable.
    spare: Option<OwnedFd>,
}

impl Keeper {
    /// Uses a folder of a BPF file system, and creates it if it does not exist.
    pub fn in_folder(folder: &Path) -> Result<Self, KeepError> {
        let is_new = match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(source) => return Err(KeepError::Folder { folder: folder.to_owned(), source }),
        };
        let kept = lock(folder).inspect_err(|_| {
            if is_new {
                let _ = std::fs::remove_dir(folder);
            }
        })?;
        // Named by its descriptor: the user that the service becomes may not be allowed to pass the folders above it.
        let by_descriptor = PathBuf::from(format!("/proc/self/fd/{}", kept.as_raw_fd()));
        let named = Some(folder.to_owned());
        Ok(Self { folder: by_descriptor, named, lock: kept, _descriptor: None, spare: None })
    }

    /// The same, for the user that the service has become. A folder with a path must belong to this user alone. What systemd kept for a
    /// service of another user cannot be opened: it is given up, and a new file system replaces it.
    ///
    /// # Errors
    /// Other users may write the folder, or there is no new file system.
    pub fn ours(mut self) -> Result<Self, KeepError> {
        self.require_ours()?;
        if self.named.is_some() || is_usable(&self.folder) {
            self.spare = None;
            return Ok(self);
        }
        let spare = self.spare.take();
        drop(self);
        Self::anew(spare)
    }

    /// Checks that a folder with a path belongs to this user alone: nothing that others put there may be used.
    fn require_ours(&self) -> Result<(), KeepError> {
        let Some(named) = &self.named else { return Ok(()) };
        let attributes = self.lock.metadata();
        let attributes = attributes.map_err(|source| KeepError::Folder { folder: named.clone(), source })?;
        let is_ours = attributes.uid() == geteuid().as_raw() && attributes.mode() & 0o022 == 0;
        if is_ours { Ok(()) } else { Err(KeepError::Shared(named.clone())) }
    }

    /// Opens the folder to remove what is pinned: root may remove what belongs to the user of the service.
    pub fn to_release(folder: &Path) -> Result<Self, KeepError> {
        let named = Some(folder.to_owned());
        let keeper = Self { folder: folder.to_owned(), named, lock: lock(folder)?, _descriptor: None, spare: None };
        if !geteuid().is_root() {
            keeper.require_ours()?;
        }
        Ok(keeper)
    }

    /// Uses systemd's store: the file system that it kept, else the new one that it passed, else one that this process can make.
    pub fn systemd() -> Result<Self, KeepError> {
        let (mut kept, mut new) = (None, None);
        for (descriptor, name) in sd_notify::listen_fds_with_names().map_err(KeepError::Systemd)? {
            // SAFETY: systemd opened it for us, and this is done once.
            let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
            match name.as_str() {
                NAME => kept = Some(descriptor),
                NEW => new = Some(descriptor),
                // Another descriptor is not ours to close.
                _ => std::mem::forget(descriptor),
            }
        }
        if new.is_some() {
            tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(NEW)], &[])?;
        }
        match kept.map(Self::of_descriptor) {
            None => Self::begin(new),
            Some(Err(KeepError::Folder { source, .. })) if is_denied(&source) => Self::anew(new),
            Some(kept) => Ok(Self { spare: new, ..kept? }),
        }
    }

    /// Uses a file system of which systemd holds the only other descriptor.
    fn of_descriptor(descriptor: OwnedFd) -> Result<Self, KeepError> {
        let folder = PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
        let lock = lock(&folder)?;
        if lock.metadata().is_ok_and(|attributes| attributes.uid() == geteuid().as_raw()) {
            // Every user may write a new file system. Nobody else can reach it, but root hands over only what is closed to others.
            let _ = lock.set_permissions(Permissions::from_mode(0o700));
        }
        Ok(Self { lock, folder, named: None, _descriptor: Some(descriptor), spare: None })
    }

    /// Uses a `new` file system, or else one that this process can make.
    fn begin(new: Option<OwnedFd>) -> Result<Self, KeepError> {
        let descriptor = new.map_or_else(make, Ok)?;
        put(NAME, descriptor.as_fd())?;
        Self::of_descriptor(descriptor)
    }

    /// Replaces a file system that this process may not use; otherwise no later process could use it either.
    fn anew(new: Option<OwnedFd>) -> Result<Self, KeepError> {
        tracing::warn!(
            "what systemd kept belongs to another user, as whom the service ran before, and is given up: what moved since that service \
             ended is not counted"
        );
        tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(NAME)], &[])?;
        Self::begin(new)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.clone()
    }
}

/// Makes a BPF file system and puts it into systemd's store, for the service that is started next.
pub fn store() -> Result<(), KeepError> {
    put(NEW, make()?.as_fd())?;
    // systemd must find out which unit sent this while the process still exists.
    let (end, other) = pipe().map_err(|error| KeepError::Systemd(error.into()))?;
    tell(&[NotifyState::Custom("BARRIER=1")], &[other.as_fd()])?;
    drop(other);
    let mut closed = [PollFd::new(end.as_fd(), PollFlags::empty())];
    poll(&mut closed, PollTimeout::from(STORE_PATIENCE_MS)).map_err(|error| KeepError::Systemd(error.into()))?;
    Ok(())
}

/// Whether this process may use a folder and what is pinned in it. The content of its folders belongs to the same user as they do.
fn is_usable(folder: &Path) -> bool {
    let may = |path: &Path, how| faccessat(AT_FDCWD, path, how, AtFlags::AT_EACCESS) != Err(Errno::EACCES);
    let folder = folder.join(".");
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    // A name with a dot is the kernel's own (`maps.debug`): nobody else can create one.
    let mut ours = entries.filter(|entry| !entry.file_name().as_encoded_bytes().contains(&b'.'));
    may(&folder, AccessFlags::all()) && ours.all(|entry| may(&entry.path(), AccessFlags::R_OK | AccessFlags::W_OK))
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// systemd polls the descriptors that it keeps, and takes some for closed at the other end. So it must not poll this one.
fn put(name: &str, descriptor: BorrowedFd<'_>) -> Result<(), KeepError> {
    tell(&[NotifyState::FdStore, NotifyState::FdName(name), NotifyState::Custom("FDPOLL=0")], &[descriptor])
}

fn tell(state: &[NotifyState<'_>], descriptors: &[BorrowedFd<'_>]) -> Result<(), KeepError> {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return Err(KeepError::Systemd(io::Error::other("it did not start this process")));
    }
    sd_notify::notify_with_fds(state, descriptors).map_err(KeepError::Systemd)
}

/// Locks a folder, which must be in a BPF file system. Waits for a former process that is about to end.
fn lock(folder: &Path) -> Result<File, KeepError> {
    let failed = |source| KeepError::Folder { folder: folder.to_owned(), source };
    // With the dot this opens the folder behind a descriptor of a mount, and not the descriptor.
    let opened = File::open(folder.join(".")).map_err(failed)?;
    if fstatfs(&opened).map_err(|error| failed(error.into()))?.filesystem_type() != BPF_FS_MAGIC {
        return Err(KeepError::NotBpf(folder.to_owned()));
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match opened.try_lock() {
            Ok(()) => return Ok(opened),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::WouldBlock) => return Err(KeepError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

/// A BPF file system that is mounted nowhere (Linux 5.2 and later).
fn make() -> Result<OwnedFd, KeepError> {
    /// `FSOPEN_CLOEXEC` and `FSMOUNT_CLOEXEC`, `FSCONFIG_CMD_CREATE` of include/uapi/linux/mount.h.
    const CLOEXEC: libc::c_long = 1;
    const CREATE: libc::c_long = 6;
    let nothing = std::ptr::null::<libc::c_char>();
    let opened = |result: libc::c_long| match i32::try_from(result) {
        // SAFETY: the kernel has just opened it for us.
        Ok(descriptor @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(KeepError::Make(io::Error::last_os_error())),
    };
    // SAFETY: takes the name of a file system, and a number.
    let context = opened(unsafe { libc::syscall(libc::SYS_fsopen, c"bpf".as_ptr(), CLOEXEC) })?;
    // SAFETY: takes numbers and two pointers that are not used.
    if unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), CREATE, nothing, nothing, 0) } != 0 {
        return Err(KeepError::Make(io::Error::last_os_error()));
    }
    // SAFETY: takes numbers.
    opened(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOEXEC, 0) })
}

#[cfg(test)]
mod tests {
    use nix::unistd::{Uid, setfsuid};

    use super::*;

    #[test]
    fn a_folder_that_is_of_no_use_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let within = folder.path().join("kept");
        assert!(matches!(Keeper::in_folder(&within), Err(KeepError::NotBpf(_))));
        assert!(!within.exists());
    }

    #[test]
    fn what_another_user_kept_is_of_no_use() {
        let Ok(descriptor) = make() else { return };
        let keeper = Keeper::of_descriptor(descriptor).unwrap();
        let mode = |path: PathBuf| path.metadata().unwrap().mode() & 0o7777;
        assert_eq!(mode(keeper.folder().join(".")), 0o700, "closed to others");
        let open_to = |mode| keeper.lock.set_permissions(Permissions::from_mode(mode)).unwrap();
        // For this thread only.
        let as_another = || {
            std::thread::scope(|scope| {
                let look = || {
                    setfsuid(Uid::from_raw(4_242));
                    is_usable(&keeper.folder())
                };
                scope.spawn(look).join().unwrap()
            })
        };
        assert!(is_usable(&keeper.folder()) && !as_another());
        open_to(0o1777);
        assert!(as_another(), "nothing is in it");
        DirBuilder::new().mode(0o700).create(keeper.folder().join("generation-1")).unwrap();
        assert!(is_usable(&keeper.folder()) && !as_another());
    }

    #[test]
    fn a_folder_on_a_disk_keeps_nothing_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = Keeper::in_folder(folder.path()).unwrap_err();
        assert!(matches!(error, KeepError::NotBpf(_)), "{error}");
        assert!(error.to_string().contains("mount -t bpf"));
    }
}
