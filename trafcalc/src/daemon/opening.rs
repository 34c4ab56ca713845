//! What is opened before counting begins.

use std::path::Path;

use crate::config::{self, Format};
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
        Format::Logfmt => Log::new(Logfmt, destination),
        Format::Json => Log::new(Json, destination),
    })
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
