//! Opens everything that the service needs, before counting begins.

use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use jiff::tz::TimeZone;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::writing::{Keeping, OpenBook};
use super::{Failure, Now};
use crate::book::{self, Book, BookError, Opened, Opening, Quota, Quotas, Trouble};
use crate::capture::Dimension;
use crate::config::{self, Format};
use crate::identity::directory;
use crate::identity::groups::Groups;
use crate::service::keep::{KeepError, Keeper};
use crate::service::privileges::Written;
use crate::sinks::{self, Destination, Json, LOG, Log, LogFile, Logfmt, SinkError, Stdout, Table, lock_path};
use crate::status::{For, Socket, SocketError, Sockets};

/// Programs, maps and links of two generations, ring buffers, the book, the log, and clients of reports, twice.
const DESCRIPTORS: u64 = 256;

/// Raises the limit of open files to what the service may need. Otherwise an open would fail later, at an operation that matters.
pub(super) fn require_descriptors() -> Result<(), Failure> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("limits")?;
    if soft < DESCRIPTORS && setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS.min(hard), hard).is_err()
        || hard < DESCRIPTORS
    {
        return Err(Failure::Descriptors { limit: hard, needed: DESCRIPTORS });
    }
    Ok(())
}

/// Opens the log.
pub(super) fn log(settings: &config::Log) -> Result<Log, SinkError> {
    let destination: Box<dyn Destination> = if settings.path == Path::new(config::STDOUT) {
        Box::new(Stdout)
    } else {
        Box::new(LogFile::open(&settings.path)?)
    };
    Ok(match settings.format {
        _ if shows_tables(settings) => Log::new(Table(TimeZone::system()), destination),
        Format::Logfmt => Log::new(Logfmt, destination),
        Format::Json => Log::new(Json, destination),
    })
}

/// Whether reports are shown to a person on a terminal.
pub(super) fn shows_tables(settings: &config::Log) -> bool {
    settings.is_for_people && std::io::stdout().is_terminal()
}

/// The settings that decide what is counted, as the book stores them. Commands that only have the book read the classes from it.
pub(super) fn counted(settings: &config::Settings) -> String {
    let config::Settings { capture, only, .. } = settings;
    serde_json::json!({
        "by": capture.by.dimensions().map(Dimension::name).collect::<Vec<_>>(),
        "classes": capture.classes.names().map(|name| name.to_string()).collect::<Vec<_>>(),
        "owner": capture.credit_to.name(),
        "loopback": capture.loopback,
        "only": format!("{only:?}"),
    })
    .to_string()
}

/// Opens the book. Returns it with its content and with how to open it again. If its disk is in trouble, counting goes on, and the book
/// is opened as soon as possible. If it is in use, of another program or not writable, that is an error.
pub(super) fn book(settings: &config::Settings, now: Now) -> Result<Option<(Keeping, Option<Opened>)>, Failure> {
    let Some(config::Book { path, zone, billing_day }) = settings.book.clone() else { return Ok(None) };
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let counted = counted(settings);
    let open: OpenBook = Box::new(move |first| {
        let opening = Opening {
            path: &path,
            zone: zone.clone(),
            billing_day,
            boot_id: boot_id.trim(),
            version: env!("CARGO_PKG_VERSION"),
            settings: &counted,
            sinks: &[LOG],
            now: now.wall,
        };
        Book::open_later(&opening, first)
    });
    let quotas = quotas(&settings.quotas);
    match open(now.wall) {
        Ok((book, opened)) => {
            if let Some(aside) = &opened.set_aside {
                tracing::error!("{aside}");
            }
            Ok(Some((Keeping { book: Some(book), open, quotas }, Some(opened))))
        }
        Err(error) if is_passing(&error) => {
            tracing::error!("{error}; counting goes on, and each report tries again");
            Ok(Some((Keeping { book: None, open, quotas }, None)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The quotas that the book watches, with the thread that looks up the groups of users; `None` without quotas.
fn quotas(quotas: &[Quota]) -> Option<Quotas> {
    if quotas.is_empty() {
        return None;
    }
    let mut names: Vec<_> = quotas.iter().flat_map(|quota| quota.groups.iter().cloned()).collect();
    names.sort_unstable();
    names.dedup();
    Some(Quotas::new(quotas.to_vec(), Arc::new(Groups::start(names, directory::gid, directory::groups))))
}

/// What keeps programs and maps alive when the process ends.
pub(super) fn keeper(keep: Option<&config::Keep>) -> Result<Option<Keeper>, KeepError> {
    match keep {
        None => Ok(None),
        Some(config::Keep::Folder(folder)) => Keeper::in_folder(folder).map(Some),
        Some(config::Keep::Systemd) => Ok(unless_refused(Keeper::systemd())),
    }
}

/// The same, for the user that the service has become.
pub(super) fn ours(keeper: Option<Keeper>, keep: Option<&config::Keep>) -> Result<Option<Keeper>, KeepError> {
    match (keeper.map(Keeper::ours), keep) {
        (None, _) => Ok(None),
        (Some(kept), Some(config::Keep::Systemd)) => Ok(unless_refused(kept)),
        (Some(kept), _) => kept.map(Some),
    }
}

/// If systemd does not keep it, counting works without that.
fn unless_refused(kept: Result<Keeper, KeepError>) -> Option<Keeper> {
    kept.inspect_err(|error| tracing::warn!("{error}; counting ends with this process")).ok()
}

/// Checks that no other service writes the book or the log, before their files are given to another user. Otherwise a second start
/// would take them from the running service.
pub(super) fn require_free(settings: &config::Settings) -> Result<(), Failure> {
    if let Some(book) = &settings.book {
        book::require_free(&book.path)?;
    }
    Ok(sinks::require_free(&settings.log.path)?)
}

/// What the service writes, and may have written as another user in an earlier run. Pinned programs are in the folder `keep`.
pub(super) fn written(settings: &config::Settings, keep: Option<&Path>) -> Written {
    let beside = |path: &Path, ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let mut written = Written::default();
    let (log, lock) = (&settings.log.path, lock_path(&settings.log.path));
    if log != Path::new(config::STDOUT) {
        written.files = vec![log.clone(), lock.clone()];
        // As tmpfiles.d/trafcalc.conf has them.
        if log == Path::new(config::DEFAULT_LOG) {
            written.made = vec![(log.clone(), 0o640), (lock, 0o600)];
        }
    }
    if let Some(config::Book { path, .. }) = &settings.book {
        written.files.extend(["", "-wal", "-shm", "-lock"].map(|ending| beside(path, ending)));
        if let Some(target) = target_of(path).filter(|_| is_link_of_root(path)) {
            written.files.extend(["", "-wal", "-shm"].map(|ending| beside(&target, ending)));
        }
        // The package makes this folder. One that somebody else chose may have other uses.
        let is_default = path == Path::new(config::DEFAULT_BOOK);
        written.folders.extend(path.parent().filter(|_| is_default).map(|folder| (folder.to_owned(), 0o750)));
    }
    let default_sockets = [&settings.status, &settings.reports]
        .into_iter()
        .flatten()
        .filter(|path| [config::DEFAULT_STATUS, config::DEFAULT_REPORTS].map(Path::new).contains(&path.as_path()));
    written.folders.extend(default_sockets.filter_map(|path| path.parent()).map(|folder| (folder.to_owned(), 0o755)));
    // The folder behind the descriptor.
    written.tree = keep.map(|keep| keep.join("."));
    written
}

/// The target of a symbolic link.
fn target_of(path: &Path) -> Option<PathBuf> {
    path.is_symlink().then(|| path.canonicalize().ok()).flatten()
}

/// Whether only root can have made a link, so that nobody else chose its target.
fn is_link_of_root(path: &Path) -> bool {
    let is_of_root = |metadata: std::fs::Metadata| metadata.uid() == 0;
    let folder = path.parent().and_then(|folder| folder.metadata().ok());
    path.symlink_metadata().is_ok_and(is_of_root)
        && folder.is_some_and(|folder| folder.mode() & 0o022 == 0 && is_of_root(folder))
}

/// Where the service writes while it counts: the folders of the log, the book, the sockets and the pinned programs. A log that is not a
/// regular file is such a place itself.
pub(super) fn places(settings: &config::Settings, keep: Option<&Path>) -> Vec<PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let log = &settings.log.path;
    let log = (log != Path::new(config::STDOUT)).then(|| if log.is_file() { folder(log) } else { log.clone() });
    let book = settings.book.as_ref().map(|book| folder(&book.path));
    // SQLite writes beside the target of a link.
    let target = settings.book.as_ref().and_then(|book| target_of(&book.path)).map(|target| folder(&target));
    let sockets = [&settings.status, &settings.reports].into_iter().flatten().map(|path| folder(path));
    log.into_iter().chain(book).chain(target).chain(sockets).chain(keep.map(|keep| keep.join("."))).collect()
}

/// Whether the error can pass by itself, or by the action of somebody who does not know of this service.
fn is_passing(error: &BookError) -> bool {
    let is_in_use = matches!(error, BookError::InUse { .. });
    let passing = [Trouble::DiskFull, Trouble::ReadOnly, Trouble::BrokenDisk, Trouble::Locked];
    !is_in_use && passing.contains(&error.trouble())
}

/// The sockets of the service. If a default socket cannot be made, the service works without it.
pub(super) fn sockets(settings: &config::Settings) -> Result<Sockets, SocketError> {
    let status = socket(settings.status.as_deref(), config::DEFAULT_STATUS, For::Service, "trafcalc status")?;
    let reports = socket(settings.reports.as_deref(), config::DEFAULT_REPORTS, For::Everybody, "trafcalc top")?;
    Ok(Sockets { status, reports })
}

fn socket(path: Option<&Path>, default: &str, whom: For, asks: &str) -> Result<Option<Socket>, SocketError> {
    let Some(path) = path else { return Ok(None) };
    match Socket::listen(path, whom) {
        Err(error) if path == Path::new(default) => {
            tracing::warn!("{error}; {asks} cannot ask this service");
            Ok(None)
        }
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    #[test]
    fn what_a_link_leads_to_is_handed_over_only_if_root_made_the_link() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        fs::write(&target, "").unwrap();
        symlink(&target, &link).unwrap();
        assert_eq!(target_of(&link), Some(target.canonicalize().unwrap()));
        assert_eq!(target_of(&target), None);
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        assert!(is_link_of_root(&link));
        fs::set_permissions(folder.path(), Permissions::from_mode(0o775)).unwrap();
        assert!(!is_link_of_root(&link), "members of the group may have made it");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        chown(folder.path(), Some(4_242), None).unwrap();
        assert!(!is_link_of_root(&link), "its owner may have made it");
    }
}
