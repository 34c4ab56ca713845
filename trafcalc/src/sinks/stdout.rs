//! Records on standard output, for a terminal or the next program of a pipe.

use std::io::{ErrorKind, Write};
use std::path::Path;

use super::{Destination, SinkError, write_error};

/// Standard output.
pub struct Stdout;

impl Destination for Stdout {
    fn append(&mut self, records: &[u8]) -> Result<(), SinkError> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(records).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(SinkError::ReaderGone),
            Err(error) => Err(write_error(Path::new("standard output"), error)),
        }
    }
}
