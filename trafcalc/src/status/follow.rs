//! Follows a running service line by line.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::client::AskError;
use super::stream::{Message, Request};

/// Samples come every second, unless the service is held up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest line that a service with the most accounts sends.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// A connection to a service.
#[derive(Debug)]
pub struct Following {
    path: PathBuf,
    lines: BufReader<UnixStream>,
}

impl Following {
    /// Connects to the service that listens at `path`, and asks for samples.
    pub fn start(path: &Path, every_ms: u64) -> Result<Self, AskError> {
        let connect = |source| AskError::Connect { path: path.to_owned(), source };
        let mut socket = UnixStream::connect(path).map_err(connect)?;
        let request = serde_json::to_string(&Request { every_ms }).expect("plain data can be written") + "\n";
        let asked = socket.set_read_timeout(Some(PATIENCE)).and_then(|()| socket.write_all(request.as_bytes()));
        match asked {
            // A refused client may still read why.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(connect(error)),
            _ => Ok(Self { path: path.to_owned(), lines: BufReader::new(socket) }),
        }
    }

    /// Waits for the next line.
    ///
    /// # Errors
    /// The service has ended, does not answer, or refused this client.
    pub fn message(&mut self) -> Result<Message, AskError> {
        let path = self.path.clone();
        let mut line = String::new();
        let read = (&mut self.lines).take(MAX_LINE_BYTES).read_line(&mut line);
        let message = match read {
            Ok(_) if line.ends_with('\n') => Message::parse(&line).map_err(io::Error::from),
            Ok(_) => Err(io::Error::new(ErrorKind::UnexpectedEof, "it has ended")),
            Err(error) => Err(error),
        };
        match message {
            Ok(Message::Refusal(refusal)) => Err(AskError::Refused { path, why: refusal.error.into_owned() }),
            Ok(message) => Ok(message),
            Err(source) => Err(AskError::Read { path, source }),
        }
    }
}
