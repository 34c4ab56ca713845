//! Shows the progress of the test in one line of a terminal. Writes nothing if standard error is not a terminal.

use std::io::{IsTerminal as _, Write as _};

use super::target::Target;

const WIDTH: usize = 20;
/// Returns to the beginning of the line, and clears it.
const CLEAR: &str = "\r\x1b[K";

/// The line; cleared when dropped.
pub(super) struct Progress {
    is_shown: bool,
    done: usize,
    total: usize,
}

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        Self { is_shown: std::io::stderr().is_terminal(), done: 0, total }
    }

    /// Shows the current step.
    pub(super) fn begin(&self, target: Target, what: &str) {
        self.show(&format!("{CLEAR}[{:<WIDTH$}] {target}: {what}", "#".repeat(self.filled())));
    }

    /// Counts finished steps.
    pub(super) fn skip(&mut self, steps: usize) {
        self.done += steps;
    }

    fn filled(&self) -> usize {
        WIDTH * self.done / self.total.max(1)
    }

    fn show(&self, text: &str) {
        if self.is_shown {
            // If the terminal is gone, progress does not matter.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show(CLEAR);
    }
}
