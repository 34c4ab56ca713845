//! The service's end of the socket.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, listen, socket};
use nix::sys::stat::{Mode, fchmod};

/// For the user and the group of the service. To connect is to write.
const PERMISSIONS: u32 = 0o660;

/// Why the service cannot tell its status.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// It cannot be made.
    #[error("{}: the status socket cannot be made: {source}", path.display())]
    Make {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody listens there already.
    #[error("{}: another trafcalc tells its status there", .0.display())]
    InUse(PathBuf),
}

/// Where clients come from.
#[derive(Debug)]
pub struct Socket {
    /// Where they connect.
    pub listener: UnixListener,
    /// As long as this lives, clients find it.
    pub name: SocketName,
}

/// The file that the socket is in the tree of files; removed when dropped.
#[derive(Debug)]
pub struct SocketName(PathBuf);

impl Socket {
    /// Listens at `path`, for the service's user and group. A socket that a dead service left there is replaced.
    pub fn listen(path: &Path) -> Result<Self, SocketError> {
        match bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_dead_socket(path) => {
                fs::remove_file(path).and_then(|()| bind(path))
            }
            result => result,
        }
        .map(|listener| Self { listener, name: SocketName(path.to_owned()) })
        .map_err(|source| match source.kind() {
            ErrorKind::AddrInUse if is_socket(path) => SocketError::InUse(path.to_owned()),
            _ => SocketError::Make { path: path.to_owned(), source },
        })
    }
}

impl Drop for SocketName {
    fn drop(&mut self) {
        // The next service replaces what cannot be removed.
        let _ = fs::remove_file(&self.0);
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The file gets the permissions of the socket less the umask (kernel: `unix_bind_bsd`), so never more than these.
    fchmod(&socket, Mode::from_bits_truncate(PERMISSIONS))?;
    nix::sys::socket::bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(PERMISSIONS))?;
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
/// It is far less than a new connection's buffer holds, so the kernel takes it at once, whether or not anyone reads;
/// a client for whom it does not fit gets a part of it.
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
        let socket = Socket::listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_living_service_is_not_pushed_aside_but_a_dead_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let first = Socket::listen(&path).unwrap();
        assert!(matches!(Socket::listen(&path), Err(SocketError::InUse(_))));
        assert!(first.listener.accept().is_ok(), "it is asked whether it lives");
        drop(UnixListener::bind(folder.path().join("dead")).unwrap());
        assert!(Socket::listen(&folder.path().join("dead")).is_ok());
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
        // Nothing more fits.
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
        assert!(matches!(Socket::listen(&path), Err(SocketError::Make { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
    }
}
