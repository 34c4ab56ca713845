//! The service's end of the socket.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, listen, socket};
use nix::sys::stat::{Mode, fchmod};

use crate::service::peer;

/// Who may connect to a socket, which takes write permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// The user and the group of the service: the status socket.
    Service,
    /// All users: reports, filtered by what each may see.
    Everybody,
}

impl For {
    const fn permissions(self) -> u32 {
        match self {
            Self::Service => 0o660,
            Self::Everybody => 0o666,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Service => "status",
            Self::Everybody => "reports",
        }
    }
}

/// Why the service has no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// It cannot be created.
    #[error("{}: the {} socket cannot be created: {source}", path.display(), whom.name())]
    Make {
        /// For whom.
        whom: For,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A service listens there already.
    #[error("{}: another trafcalc serves its {} there", path.display(), whom.name())]
    InUse {
        /// For whom.
        whom: For,
        /// Where.
        path: PathBuf,
    },
}

/// A socket for clients.
#[derive(Debug)]
pub struct Socket {
    /// Where they connect.
    pub listener: UnixListener,
    /// Clients find it as long as this lives.
    pub name: SocketName,
}

/// The socket's file. It is removed when this is dropped, unless another socket has taken its place by then.
#[derive(Debug)]
pub struct SocketName {
    path: PathBuf,
    /// The file's device and inode number.
    file: Option<(u64, u64)>,
}

impl SocketName {
    fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), file: file(path) }
    }
}

impl Socket {
    /// Listens at `path`. A socket that a dead service left there is replaced.
    pub fn listen(path: &Path, whom: For) -> Result<Self, SocketError> {
        match bind(path, whom.permissions()) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_dead_socket(path) => {
                fs::remove_file(path).and_then(|()| bind(path, whom.permissions()))
            }
            result => result,
        }
        .map(|listener| Self { listener, name: SocketName::of(path) })
        .map_err(|source| match source.kind() {
            ErrorKind::AddrInUse if is_socket(path) => SocketError::InUse { whom, path: path.to_owned() },
            _ => SocketError::Make { whom, path: path.to_owned(), source },
        })
    }
}

impl Drop for SocketName {
    fn drop(&mut self) {
        if self.file.is_some() && file(&self.path) == self.file {
            // The next service replaces what cannot be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn file(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn bind(path: &Path, permissions: u32) -> io::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The file gets the permissions of the socket less the umask (kernel: `unix_bind_bsd`), so never more than these.
    fchmod(&socket, Mode::from_bits_truncate(permissions))?;
    nix::sys::socket::bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(permissions))?;
    peer::refuse_descriptors(&socket);
    listen(&socket, Backlog::MAXCONN)?;
    Ok(socket.into())
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

fn is_dead_socket(path: &Path) -> bool {
    is_socket(path) && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Hands `text` to `client` and closes the connection.
///
/// It is far smaller than a new connection's buffer, so the kernel takes it at once, whether or not the client reads.
/// If it does not fit, the client gets a part of it.
pub(super) fn send(mut client: UnixStream, text: &str) {
    // A client that has gone needs no answer.
    let _ = client.set_nonblocking(true).and_then(|()| client.write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_for_the_user_and_the_group_and_vanishes_with_the_service() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = Socket::listen(&path, For::Service).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        drop(socket);
        assert!(!path.exists());
        let _socket = Socket::listen(&path, For::Everybody).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    }

    #[test]
    fn a_living_service_is_not_pushed_aside_but_a_dead_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let first = Socket::listen(&path, For::Service).unwrap();
        assert!(matches!(Socket::listen(&path, For::Service), Err(SocketError::InUse { .. })));
        assert!(first.listener.accept().is_ok(), "it is asked whether it lives");
        drop(UnixListener::bind(folder.path().join("dead")).unwrap());
        assert!(Socket::listen(&folder.path().join("dead"), For::Service).is_ok());
    }

    #[test]
    fn what_another_service_has_put_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let first = Socket::listen(&path, For::Service).unwrap();
        fs::rename(&path, folder.path().join("moved")).unwrap();
        let second = Socket::listen(&path, For::Service).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn one_who_asks_and_goes_does_no_harm() {
        let (asker, client) = UnixStream::pair().unwrap();
        drop(asker);
        send(client, "lost\n");
    }

    #[test]
    fn one_who_does_not_read_is_not_waited_for() {
        let (_asker, client) = UnixStream::pair().unwrap();
        // Fills the buffer.
        client.set_nonblocking(true).unwrap();
        while (&client).write(&[0; 4096]).is_ok() {}
        client.set_nonblocking(false).unwrap();
        send(client, "lost\n");
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "kept").unwrap();
        assert!(matches!(Socket::listen(&path, For::Service), Err(SocketError::Make { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
    }
}
