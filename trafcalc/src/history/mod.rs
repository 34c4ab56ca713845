//! The commands that maintain the book: `trafcalc correct`, `close` and `history`. They read it as `answer` does, and
//! write in short transactions, because a service may be writing the same book.
//!
//! The present time and the acting user are arguments.

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
    /// The book; the configured one if `None`.
    pub book: Option<PathBuf>,
    /// The configuration file.
    pub config: Option<PathBuf>,
}

impl BookOf {
    fn path(&self) -> Result<PathBuf, AnswerError> {
        answer::book_path(self.book.as_ref(), self.config.as_ref())
    }
}
