//! Where a report goes: one file per format and destination.
//!
//! A sink sees nothing but the report: never a backend, the ledger, or a clock.

mod json;
mod log_file;
mod logfmt;
mod stdout;

use std::path::{Path, PathBuf};

pub use json::Json;
pub use log_file::LogFile;
pub use logfmt::Logfmt;
pub use stdout::Stdout;

use crate::report::Report;

/// A way to write records.
pub trait Format {
    /// Appends all records of `report` to `out`, one a line, each with its line end.
    fn encode(&self, report: &Report, out: &mut Vec<u8>);
}

/// A place for records.
pub trait Destination {
    /// Appends `records`, all or none of them.
    fn append(&mut self, records: &[u8]) -> Result<(), SinkError>;

    /// Lets go of what was opened before and opens it anew, where that means something. On failure the old one stays.
    fn reopen(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// The service did not start: takes back what opening has changed.
    fn discard(&mut self) {}
}

/// A format and a destination.
pub struct Log {
    format: Box<dyn Format>,
    destination: Box<dyn Destination>,
    buffer: Vec<u8>,
}

impl Log {
    /// Writes `format` to `destination`.
    #[must_use]
    pub fn new(format: Box<dyn Format>, destination: Box<dyn Destination>) -> Self {
        Self { format, destination, buffer: Vec::new() }
    }

    /// Writes all of `report` or nothing.
    pub fn write(&mut self, report: &Report) -> Result<(), SinkError> {
        self.buffer.clear();
        self.format.encode(report, &mut self.buffer);
        self.destination.append(&self.buffer)
    }

    /// What was last tried to be written.
    #[must_use]
    pub fn last_records(&self) -> &[u8] {
        &self.buffer
    }

    /// Opens the destination anew, as after a rotation.
    pub fn reopen(&mut self) -> Result<(), SinkError> {
        self.destination.reopen()
    }

    /// The service did not start: takes back what opening has changed.
    pub fn discard(&mut self) {
        self.destination.discard();
    }
}

/// Why a report was not written, or a log not opened.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It cannot be opened.
    #[error("{}: cannot be opened for appending: {source}", path.display())]
    Open {
        /// The log.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is a directory, a pipe or a socket.
    #[error("{}: is neither a file nor a character device", .0.display())]
    NotAFile(PathBuf),
    /// Another process holds it.
    #[error("{}: another trafcalc is writing to this log", .0.display())]
    Taken(PathBuf),
    /// It was not written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The log.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Whoever was reading has gone.
    #[error("the reader of standard output has gone")]
    ReaderGone,
}

fn write_error(path: &Path, source: std::io::Error) -> SinkError {
    SinkError::Write { path: path.to_owned(), source }
}
