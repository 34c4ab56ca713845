//! How far the test is, in one line of a terminal. Nothing is written where standard error is none.

use std::io::{IsTerminal as _, Write as _};

use super::target::Target;

const WIDTH: usize = 20;
/// Back to the beginning of the line, and clears it.
const CLEAR: &str = "\r\x1b[K";

/// The line; gone when dropped.
pub(super) struct Progress {
    is_shown: bool,
    done: usize,
    total: usize,
}

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        Self { is_shown: std::io::stderr().is_terminal(), done: 0, total }
    }

    /// Shows what is done now.
    pub(super) fn begin(&self, target: Target, what: &str) {
        self.show(&format!("{CLEAR}[{:<WIDTH$}] {target}: {what}", "#".repeat(self.filled())));
    }

    /// So many steps are over.
    pub(super) fn skip(&mut self, steps: usize) {
        self.done += steps;
    }

    fn filled(&self) -> usize {
        WIDTH * self.done / self.total.max(1)
    }

    fn show(&self, text: &str) {
        if self.is_shown {
            // A terminal that has gone needs no progress.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show(CLEAR);
    }
}
