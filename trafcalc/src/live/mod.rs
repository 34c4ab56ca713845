//! `trafcalc top`: who moves what, now. Follows a running service and needs no privilege, because the service decides
//! what a client sees.
//!
//! The only module that uses ratatui. It must never read anything but the service: no book, no names, no files.

mod classes;
mod columns;
mod endings;
mod model;
mod rows;
mod screen;
mod state;
mod terminal;
#[cfg(test)]
mod testing;
mod text;

use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use model::Model;
use state::State;

use crate::service::exit::Exit;
use crate::status::{AskError, Following, Hello, MIN_EVERY_MS, Message};

/// What to show, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// The service's reports socket.
    pub socket: PathBuf,
    /// Print one table and end.
    pub is_once: bool,
    /// Print JSON instead of showing anything.
    pub is_json: bool,
    /// Show rates in bits.
    pub is_bits: bool,
}

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The service cannot be followed.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The terminal cannot be used.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] io::Error),
}

impl LiveError {
    /// The exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Ask(error) => error.exit(),
            Self::Terminal(_) => Exit::OutputLost,
        }
    }
}

/// A service reads its book within this many samples.
const MOST_SAMPLES: u64 = 4;

/// Shows who moves what, once or until the user quits.
///
/// # Errors
/// The service cannot be followed, or the terminal cannot be used.
pub fn top(request: &Request) -> Result<(), LiveError> {
    let (following, hello) = connect(&request.socket)?;
    let model = Model::new(hello);
    if !request.is_once && !request.is_json && terminal::is_there() {
        return Ok(terminal::show(request, following, model)?);
    }
    match print(request, following, model) {
        // A reader that closed the pipe wants no more.
        Err(LiveError::Terminal(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Connects to a service and reads its greeting.
fn connect(socket: &Path) -> Result<(Following, Hello), AskError> {
    let mut following = Following::start(socket, MIN_EVERY_MS)?;
    match following.message()? {
        Message::Hello(hello) => Ok((following, *hello)),
        _ => Err(AskError::Read { path: socket.to_owned(), source: ErrorKind::InvalidData.into() }),
    }
}

/// Prints from the second sample on, because rates need two: once, or with each sample.
fn print(request: &Request, mut following: Following, mut model: Model) -> Result<(), LiveError> {
    let is_once = request.is_once || !request.is_json;
    loop {
        let Message::Sample(sample) = following.message()? else { continue };
        model.take(*sample);
        let is_known = model.date.is_some() || model.hello.zone.is_none() || model.count >= MOST_SAMPLES;
        if model.count == 0 || is_once && !is_known {
            continue;
        }
        let text = if request.is_json {
            text::json(&model)
        } else {
            let state = State { is_bits: request.is_bits, ..State::default() };
            text::once(&model, &rows::table(&model, &state), request.is_bits)
        };
        io::stdout().write_all(text.as_bytes())?;
        if is_once {
            return Ok(());
        }
    }
}
