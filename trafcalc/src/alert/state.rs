//! How far the log was read, and what was told. It is kept in a file that is replaced as a whole.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::AlertError;

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
        let read = fs::read(path).map(|text| serde_json::from_slice(&text).map_err(io::Error::from));
        match read {
            Ok(Ok(state)) => Ok(state),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Ok(Err(source)) | Err(source) => Err(error(path, "reading it", source)),
        }
    }

    /// Saves it: it is on the disk when this returns.
    pub fn keep(&self, path: &Path) -> Result<(), AlertError> {
        write(path, &serde_json::to_vec(self).expect("plain data can be written"))
            .map_err(|source| error(path, "keeping the place in the log", source))
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

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    // An existing file was left by a killed process, or put there by somebody else. A link is removed, never followed.
    match fs::remove_file(&name) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // It has the first bytes of the log, which not every user may read.
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name)?;
    new.write_all(text)?;
    new.sync_all()?;
    fs::rename(&name, path)
}

fn error(path: &Path, doing: &'static str, source: io::Error) -> AlertError {
    AlertError::State { path: path.to_owned(), doing, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn a_link_in_the_place_of_the_new_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("state"), folder.path().join("victim"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, folder.path().join("state.new")).unwrap();
        let mut state = State::default();
        state.note("a".to_owned());
        state.keep(&path).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(State::read(&path).unwrap(), state);
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert!(metadata.is_file() && metadata.mode() & 0o777 == 0o600, "{metadata:?}");
        // A partial file of a killed process is no reason to fail.
        fs::write(folder.path().join("state.new"), "{").unwrap();
        state.note("b".to_owned());
        state.keep(&path).unwrap();
        assert_eq!(State::read(&path).unwrap(), state);
    }
}
