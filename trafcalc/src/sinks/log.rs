//! The log: a format and a destination.

use std::sync::{Arc, mpsc};

use super::outlet::{Item, Sink};
use super::{Destination, Format, SinkError};
use crate::report::Report;

/// What a log is given to write.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A report.
    Report(Box<Report>),
    /// Reports that are booked, with the records from the book.
    Resume {
        /// The mark that the log noted last, as in [`Told`], if a former epoch may have written these reports.
        mark: Option<String>,
        /// The oldest first.
        former: Vec<Former>,
    },
}

/// A report that is booked, of this epoch or a former one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// Its epoch.
    pub epoch: u64,
    /// Its sequence number.
    pub seq: u64,
    /// Its records, as [`Json`](super::Json) writes them.
    pub records: String,
}

/// A report that has been written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its epoch.
    pub epoch: u64,
    /// Its sequence number.
    pub seq: u64,
    /// How far the log was written with it.
    pub mark: String,
}

impl Item for Piece {
    fn merge(&mut self, next: Self, coarse_bytes: &mut u64) -> Option<Self> {
        match (self, next) {
            (Self::Report(report), Self::Report(next)) => {
                *coarse_bytes += report.merge(*next);
                None
            }
            (_, next) => Some(next),
        }
    }
}

/// A format and a destination.
pub struct Log {
    format: Arc<dyn Format>,
    destination: Box<dyn Destination>,
    told: Option<mpsc::Sender<Told>>,
    buffer: Vec<u8>,
}

impl Log {
    /// Writes `format` to `destination`.
    #[must_use]
    pub fn new(format: impl Format + 'static, destination: Box<dyn Destination>) -> Self {
        Self { format: Arc::new(format), destination, told: None, buffer: Vec::new() }
    }

    /// Sends each report that was written to `told`.
    #[must_use]
    pub fn telling(self, told: mpsc::Sender<Told>) -> Self {
        Self { told: Some(told), ..self }
    }

    /// How far the log has been written.
    #[must_use]
    pub fn mark(&self) -> Option<String> {
        self.destination.mark()
    }

    /// The format.
    #[must_use]
    pub fn format(&self) -> Arc<dyn Format> {
        Arc::clone(&self.format)
    }

    /// Undoes what opening has changed, because the service did not start.
    pub fn discard(&mut self) {
        self.destination.discard();
    }

    fn note(&self, epoch: u64, seq: u64) {
        if let Some(told) = &self.told {
            let mark = self.destination.mark().unwrap_or_default();
            // If no one receives it, the service is ending.
            let _ = told.send(Told { epoch, seq, mark });
        }
    }

    fn resume(&mut self, mark: Option<&str>, former: &[Former]) -> Result<(), SinkError> {
        let Some(last) = former.last() else { return Ok(()) };
        let encoded: Vec<_> = former
            .iter()
            .map(|report| {
                let mut out = Vec::new();
                self.format.encode_json(&report.records, &mut out);
                out
            })
            .collect();
        let there = match mark {
            Some(mark) => self.destination.resume(mark, &encoded)?,
            None => 0,
        };
        self.destination.append(&encoded[there..].concat())?;
        self.note(last.epoch, last.seq);
        Ok(())
    }
}

impl Sink<Piece> for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn take(&mut self, piece: &Piece) -> Result<(), SinkError> {
        match piece {
            Piece::Report(report) => {
                self.buffer.clear();
                self.format.encode(report, &mut self.buffer);
                self.destination.append(&self.buffer)?;
                self.note(report.summary.stamp.epoch, report.summary.stamp.seq);
                Ok(())
            }
            Piece::Resume { mark, former } => self.resume(mark.as_deref(), former),
        }
    }

    fn refresh(&mut self) -> Result<(), SinkError> {
        self.destination.reopen()
    }
}
