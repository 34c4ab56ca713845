//! A small file in which `alert` and `ship` keep how far they have come. It is always replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc::O_NONBLOCK;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Limit of what is read: `alert` remembers a thousand records.
const MAX_BYTES: u64 = 16 << 20;

/// Reads the file; the default if it does not exist.
pub fn read<T: DeserializeOwned + Default>(path: &Path) -> io::Result<T> {
    // A FIFO in its place must not stop the caller.
    let file = match OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(T::default()),
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Replaces the file. The new one is on the disk when this returns. Its mode is 0600.
pub fn replace(path: &Path, state: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(state)?;
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    // A killed process may have left it, or somebody else may have put a link here, which must not be followed.
    match fs::remove_file(&name) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name)?;
    new.write_all(&text)?;
    new.sync_all()?;
    fs::rename(&name, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
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
        replace(&path, &7).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(read::<u32>(&path).unwrap(), 7);
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert!(metadata.is_file() && metadata.mode() & 0o777 == 0o600, "{metadata:?}");
    }

    #[test]
    fn what_a_killed_process_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        assert_eq!(read::<u32>(&path).unwrap(), 0);
        fs::write(folder.path().join("state.new"), "{").unwrap();
        replace(&path, &7).unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), 7);
        fs::write(&path, "{").unwrap();
        assert!(read::<u32>(&path).is_err(), "a damaged file is no beginning");
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(read::<u32>(&path).is_err(), "a FIFO is not waited for");
    }
}
