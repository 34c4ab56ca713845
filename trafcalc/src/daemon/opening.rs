//! What is opened before counting begins.

use std::path::Path;

use super::writing::{Keeping, OpenBook};
use super::{Failure, Now};
use crate::book::{Book, BookError, Opened, Opening, Trouble};
use crate::capture::Dimension;
use crate::config::{self, Format};
use crate::service::keep::{KeepError, Keeper};
use crate::sinks::{Destination, Json, LOG, Log, LogFile, Logfmt, SinkError, Stdout};
use crate::status::{Socket, SocketError};

/// Where reports go.
pub(super) fn log(settings: &config::Log) -> Result<Log, SinkError> {
    let destination: Box<dyn Destination> = if settings.path == Path::new(config::STDOUT) {
        Box::new(Stdout)
    } else {
        Box::new(LogFile::open(&settings.path)?)
    };
    Ok(match settings.format {
        Format::Logfmt => Log::new(Logfmt, destination),
        Format::Json => Log::new(Json, destination),
    })
}

/// The book, what is in it, and how to open it again. One whose disk is in trouble is opened as soon as it can be, and counting goes
/// on; one that is in use, of another program, or not ours to write is an error.
pub(super) fn book(settings: &config::Settings, now: Now) -> Result<Option<(Keeping, Option<Opened>)>, Failure> {
    let Some(config::Book { path, zone }) = settings.book.clone() else { return Ok(None) };
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let config::Settings { capture, only, .. } = settings;
    let counted = serde_json::json!({
        "by": capture.by.dimensions().map(Dimension::name).collect::<Vec<_>>(),
        "owner": capture.belonging.name(),
        "loopback": capture.loopback,
        "only": format!("{only:?}"),
    })
    .to_string();
    let open: OpenBook = Box::new(move || {
        Book::open(&Opening {
            path: &path,
            zone: zone.clone(),
            boot_id: boot_id.trim(),
            version: env!("CARGO_PKG_VERSION"),
            settings: &counted,
            sinks: &[LOG],
            now: now.wall,
        })
    });
    match open() {
        Ok((book, opened)) => {
            if let Some(aside) = &opened.set_aside {
                tracing::error!("{aside}");
            }
            Ok(Some((Keeping { book: Some(book), open }, Some(opened))))
        }
        Err(error) if is_passing(&error) => {
            tracing::error!("{error}; counting goes on, and each report tries again");
            Ok(Some((Keeping { book: None, open }, None)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Who keeps what counts. That systemd does not is no reason not to count.
pub(super) fn keeper(keep: Option<&config::Keep>) -> Result<Option<Keeper>, KeepError> {
    match keep {
        None => Ok(None),
        Some(config::Keep::Folder(folder)) => Keeper::in_folder(folder).map(Some),
        Some(config::Keep::Systemd) => {
            let kept = Keeper::systemd();
            Ok(kept.inspect_err(|error| tracing::warn!("{error}; the count ends with this process")).ok())
        }
    }
}

/// Whether it can go away by itself, or by somebody who does not know of this service.
fn is_passing(error: &BookError) -> bool {
    let is_in_use = matches!(error, BookError::InUse { .. });
    let passing = [Trouble::DiskFull, Trouble::ReadOnly, Trouble::BrokenDisk, Trouble::Locked];
    !is_in_use && passing.contains(&error.trouble())
}

/// Where nobody asked for a socket, none is no reason not to count.
pub(super) fn status(path: Option<&Path>) -> Result<Option<Socket>, SocketError> {
    let Some(path) = path else { return Ok(None) };
    match Socket::listen(path) {
        Err(error) if path == Path::new(config::DEFAULT_STATUS) => {
            tracing::warn!("{error}; trafcalc status cannot ask this service");
            Ok(None)
        }
        result => result.map(Some),
    }
}
