//! How far the log was read, and what was told. Kept in a file.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::AlertError;
use crate::state_file;

/// This many of the last told records are remembered, so that a log that is read again, because it was truncated or
/// copied, causes no second alert.
const MAX_TOLD: usize = 1_000;

/// A position in a file, which may have been renamed since. A deleted file's inode number may be given to another one,
/// so the file is also known by its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub device: u64,
    pub inode: u64,
    pub offset: u64,
    /// The first bytes of what was read.
    pub begins: Vec<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub place: Option<Place>,
    told: VecDeque<String>,
}

impl State {
    /// Reads the saved state; empty if there is none.
    pub fn read(path: &Path) -> Result<Self, AlertError> {
        state_file::read(path).map_err(|source| error(path, "reading it", source))
    }

    /// Saves it: it is on the disk when this returns. It has the first bytes of the log, which not every user may read.
    pub fn keep(&self, path: &Path) -> Result<(), AlertError> {
        state_file::replace(path, self).map_err(|source| error(path, "keeping the place in the log", source))
    }

    pub fn is_told(&self, key: &str) -> bool {
        self.told.iter().any(|told| told == key)
    }

    pub fn note(&mut self, key: String) {
        self.told.push_back(key);
        while self.told.len() > MAX_TOLD {
            self.told.pop_front();
        }
    }
}

fn error(path: &Path, doing: &'static str, source: io::Error) -> AlertError {
    AlertError::State { path: path.to_owned(), doing, source }
}
