//! The log file. It is opened for appending, locked by one process at a time, and never left with an incomplete record.
//! The lock is a file of its own: any user who may read the log could lock the log itself.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::{Destination, SinkError, write_error};
use crate::lock::{Lock, NotLocked, is_taken};

/// Permissions of a new log: which users were active when is private. The umask may remove more.
const MODE: u32 = 0o640;

/// An open log.
pub struct LogFile {
    path: PathBuf,
    file: File,
    regular: bool,
    created: bool,
    /// The end of the last whole record, if an incomplete one that could not be cut off may follow.
    torn_at: Option<u64>,
    /// Whether the file ended within a line when it was opened, as after a crash of the host.
    unended: bool,
    /// A lock of the path, not of a particular file; a device has none.
    lock: Option<Lock>,
}

impl LogFile {
    /// Opens or creates `path` and locks it for this process.
    pub fn open(path: &Path) -> Result<Self, SinkError> {
        let mut log = Self::open_unlocked(path)?;
        match if log.regular { lock(path).map(Some) } else { Ok(None) } {
            Ok(lock) => {
                log.lock = lock;
                Ok(log)
            }
            // The lock's holder writes to it, even if this process created it.
            Err(error @ SinkError::Taken(_)) => Err(error),
            Err(error) => {
                log.discard();
                Err(error)
            }
        }
    }

    fn open_unlocked(path: &Path) -> Result<Self, SinkError> {
        let failed = |source: std::io::Error| match source.raw_os_error() {
            Some(libc::ELOOP) => SinkError::Link(path.to_owned()),
            _ => SinkError::Open { path: path.to_owned(), source },
        };
        let is_sticky = is_sticky(path)?;
        let (file, created) = open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let kind = metadata.file_type();
        if !kind.is_file() && !kind.is_char_device() {
            return Err(SinkError::NotAFile(path.to_owned()));
        }
        if is_sticky && kind.is_file() && ![0, geteuid().as_raw()].contains(&metadata.uid()) {
            return Err(SinkError::Foreign { path: path.to_owned(), uid: metadata.uid() });
        }
        let (path, regular) = (path.to_owned(), kind.is_file());
        let unended = regular && !created && !ends_a_line(&path);
        Ok(Self { path, file, regular, created, torn_at: None, unended, lock: None })
    }

    /// Begins a new log if the file was renamed or deleted without a SIGHUP. If that fails, writing continues to a
    /// renamed file; for a deleted one it is an error.
    fn follow_path(&mut self) -> Result<(), SinkError> {
        if !self.regular || self.is_current() {
            return Ok(());
        }
        let is_deleted = self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0);
        match self.reopen() {
            Ok(()) => {
                let what = if is_deleted { "deleted" } else { "renamed" };
                tracing::warn!("{}: was {what}, without a SIGHUP: a new log is begun", self.path.display());
                Ok(())
            }
            Err(SinkError::Open { path, source }) if is_deleted => Err(SinkError::Deleted { path, source }),
            Err(error) if is_deleted => Err(error),
            Err(error) => {
                tracing::warn!("{error}; writing goes on to the renamed file");
                Ok(())
            }
        }
    }

    /// Whether the path still leads to the open file.
    fn is_current(&self) -> bool {
        match (std::fs::metadata(&self.path), self.file.metadata()) {
            (Ok(named), Ok(open)) => (named.dev(), named.ino()) == (open.dev(), open.ino()),
            _ => false,
        }
    }

    fn append_to_regular(&mut self, records: &[u8]) -> std::io::Result<()> {
        if let Some(end) = self.torn_at
            && self.file.metadata()?.len() > end
            && self.file.set_len(end).is_err()
        {
            // A file that may only grow (chattr +a): the incomplete record gets a line of its own.
            self.file.write_all(b"\n")?;
        }
        self.torn_at = None;
        if self.unended {
            self.file.write_all(b"\n")?;
            self.unended = false;
        }
        let end = self.file.metadata()?.len();
        self.file.write_all(records).inspect_err(|_| {
            self.torn_at = self.file.set_len(end).is_err().then_some(end);
        })
    }
}

impl Destination for LogFile {
    fn append(&mut self, records: &[u8]) -> Result<(), SinkError> {
        self.follow_path()?;
        let written = if self.regular { self.append_to_regular(records) } else { self.file.write_all(records) };
        written.map_err(|source| write_error(&self.path, source))
    }

    fn mark(&self) -> Option<String> {
        // What is noted as written must survive a loss of power.
        let metadata = self.file.sync_data().and_then(|()| self.file.metadata()).ok().filter(|_| self.regular)?;
        Some(format!("{}:{}:{}", metadata.dev(), metadata.ino(), metadata.len()))
    }

    fn resume(&mut self, mark: &str, reports: &[Vec<u8>]) -> Result<usize, SinkError> {
        let Some((file, length)) = mark.rsplit_once(':') else { return Ok(0) };
        let Ok(length) = length.parse() else { return Ok(0) };
        let is_it = |path: &Path| {
            let metadata = std::fs::metadata(path).ok();
            metadata.is_some_and(|metadata| format!("{}:{}", metadata.dev(), metadata.ino()) == file)
        };
        let (mut there, mut begin) = (0, length);
        if !is_it(&self.path) {
            // The log was rotated; what was written after that is at the beginning of the current file.
            let mut rotated = self.path.clone().into_os_string();
            rotated.push(".1");
            if is_it(Path::new(&rotated)) {
                let tail = read_from(Path::new(&rotated), length)?;
                there = whole(&tail, reports).0;
            }
            begin = 0;
        }
        let tail = read_from(&self.path, begin)?;
        let (here, rest) = whole(&tail, &reports[there..]);
        there += here;
        // The rest is a part of the next report, or was written by another program.
        if !rest.is_empty() && reports.get(there).is_some_and(|next| next.starts_with(rest)) {
            let end = begin + u64::try_from(tail.len() - rest.len()).unwrap_or_default();
            // A file that may only grow keeps it, and the next record begins on a new line.
            self.unended = self.file.set_len(end).is_err() && !rest.ends_with(b"\n");
        }
        Ok(there)
    }

    fn reopen(&mut self) -> Result<(), SinkError> {
        if !self.is_current() {
            let lock = self.lock.take();
            match Self::open_unlocked(&self.path) {
                Ok(new) => *self = Self { lock, ..new },
                Err(error) => {
                    self.lock = lock;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn discard(&mut self) {
        if self.created && self.is_current() && self.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            // The user needs to know why the service did not start, not that this failed.
            let _ = std::fs::remove_file(&self.path);
        }
        if let Some(lock) = &self.lock {
            lock.discard();
        }
    }
}

/// Whether the log's folder is world-writable and sticky like `/tmp`, where all users may create files but not replace
/// those of others. A world-writable folder that is not sticky is refused.
fn is_sticky(path: &Path) -> Result<bool, SinkError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // If the folder cannot be inspected, opening the log reports the error.
    let mode = std::fs::metadata(folder).map_or(0, |metadata| metadata.mode());
    match (mode & libc::S_IWOTH != 0, mode & libc::S_ISVTX != 0) {
        (false, _) => Ok(false),
        (true, true) => Ok(true),
        (true, false) => Err(SinkError::OpenFolder(path.to_owned())),
    }
}

/// Opens the file without waiting for the other end of a pipe; returns whether it is new.
fn open(path: &Path) -> std::io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.append(true).mode(MODE).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW);
    match options.clone().create_new(true).open(path) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            options.create(true).open(path).map(|file| (file, false))
        }
        Err(error) => Err(error),
    }
}

/// The content of a file from byte `begin` on.
fn read_from(path: &Path, begin: u64) -> Result<Vec<u8>, SinkError> {
    let mut tail = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(begin))?;
        file.read_to_end(&mut tail)
    });
    read.map(|_| tail).map_err(|source| write_error(path, source))
}

/// How many of `reports` are at the beginning of `tail`, one after the other, and the rest of `tail`.
fn whole<'a>(tail: &'a [u8], reports: &[Vec<u8>]) -> (usize, &'a [u8]) {
    let (mut rest, mut there) = (tail, 0);
    while let Some(after) = reports.get(there).and_then(|report| rest.strip_prefix(report.as_slice())) {
        (rest, there) = (after, there + 1);
    }
    (there, rest)
}

/// Whether a file is empty or ends with a line feed. `true` also if it may not be read.
fn ends_a_line(path: &Path) -> bool {
    let mut last = [b'\n'];
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)
    });
    read.is_err() || last == *b"\n"
}

/// Checks that no other process writes the log at `path`. Creates and changes nothing.
///
/// # Errors
/// [`SinkError::Taken`] if one does.
pub fn require_free(path: &Path) -> Result<(), SinkError> {
    if is_taken(&lock_path(path)) { Err(SinkError::Taken(path.to_owned())) } else { Ok(()) }
}

fn lock(path: &Path) -> Result<Lock, SinkError> {
    let place = lock_path(path);
    Lock::take(&place).map_err(|refused| match refused {
        NotLocked::Taken => SinkError::Taken(path.to_owned()),
        NotLocked::Foreign(uid) => SinkError::Foreign { path: place, uid },
        NotLocked::Failed(source) => SinkError::Lock { path: path.to_owned(), lock: place, source },
    })
}

/// The path of a log's lock. It is hidden, so that programs that rotate or read all logs of a folder ignore it.
#[must_use]
pub fn lock_path(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push("-lock");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests;
