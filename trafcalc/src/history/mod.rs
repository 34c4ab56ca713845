//! The commands of a person who takes care of the book: `trafcalc correct`, `close` and `history`. They read it as `answer` does; what they
//! add is one short transaction each, beside a service that writes the same book.
//!
//! The present, and who acts, are arguments.

mod backup;
mod check;
mod close;
mod correct;
mod error;
mod export;
mod import;

use std::path::PathBuf;

pub use backup::backup;
pub use check::check;
pub use close::close;
pub use correct::{Correct, correct};
pub use error::HistoryError;
pub use export::{After, ExportFormat, export};
pub use import::import_log;

use crate::answer::{self, AnswerError};

/// Which book is meant.
#[derive(Clone, Debug, Default)]
pub struct BookOf {
    /// The book; the configured one where there is none.
    pub book: Option<PathBuf>,
    /// The configuration file.
    pub config: Option<PathBuf>,
}

impl BookOf {
    fn path(&self) -> Result<PathBuf, AnswerError> {
        answer::book_path(self.book.as_ref(), self.config.as_ref())
    }
}
