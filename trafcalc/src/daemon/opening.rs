//! What is opened before counting begins.

use std::path::Path;

use crate::config::{self, Format};
use crate::service::keep::{KeepError, Keeper};
use crate::sinks::{Destination, Json, Log, LogFile, Logfmt, SinkError, Stdout};
use crate::status::{Socket, SocketError};

/// Where reports go.
pub(super) fn log(settings: &config::Log) -> Result<Log, SinkError> {
    let destination: Box<dyn Destination> = if settings.path == Path::new(config::STDOUT) {
        Box::new(Stdout)
    } else {
        Box::new(LogFile::open(&settings.path)?)
    };
    Ok(match settings.format {
        Format::Logfmt => Log::new(Box::new(Logfmt), destination),
        Format::Json => Log::new(Box::new(Json), destination),
    })
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
