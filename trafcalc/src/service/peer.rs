//! The credentials of the process at the other end of a local socket, from the kernel and not from the client.
#![expect(unsafe_code, reason = "no wrapper of SO_PEERGROUPS exists")]

use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use nix::sys::socket::{getsockopt, sockopt};

/// The limit of groups that a process can be in (kernel: `NGROUPS_MAX`).
const MAX_GROUPS: usize = 65_536;

/// The credentials of a client when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The user id.
    pub uid: u32,
    /// All its groups.
    pub gids: Vec<u32>,
}

impl Peer {
    /// Reads the credentials of a connected socket.
    ///
    /// # Errors
    /// The kernel cannot tell.
    pub fn of(client: &UnixStream) -> io::Result<Self> {
        let credentials = getsockopt(client, sockopt::PeerCredentials)?;
        // Before Linux 4.13 only one group is known.
        let mut gids = groups(client).unwrap_or_default();
        gids.push(credentials.gid());
        Ok(Self { uid: credentials.uid(), gids })
    }

    /// Whether the client may see what the service's user and group may: it is root, that user, or in that group.
    #[must_use]
    pub fn is_of_the_service(&self) -> bool {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        self.uid == 0 || self.uid == uid || self.gids.contains(&gid)
    }
}

/// `SO_PASSRIGHTS`, since Linux 6.16.
const PASS_RIGHTS: libc::c_int = 83;

/// Refuses descriptors from clients of this listener. Closing a descriptor can take as long as its owner likes (`SO_LINGER`), and the last
/// holder has to wait. Kernels before Linux 6.16 cannot refuse them.
pub fn refuse_descriptors(listener: &impl AsRawFd) {
    let off: libc::c_int = 0;
    let bytes = libc::socklen_t::try_from(size_of_val(&off)).unwrap_or_default();
    // SAFETY: the kernel reads `bytes` bytes, which `off` has. A kernel without the option changes nothing.
    let _ = unsafe {
        libc::setsockopt(listener.as_raw_fd(), libc::SOL_SOCKET, PASS_RIGHTS, (&raw const off).cast(), bytes)
    };
}

/// The supplementary groups.
fn groups(client: &UnixStream) -> io::Result<Vec<u32>> {
    let mut gids = vec![0; 32];
    loop {
        let mut bytes = libc::socklen_t::try_from(gids.len() * size_of::<u32>()).map_err(io::Error::other)?;
        // SAFETY: the kernel writes at most `bytes` bytes, which `gids` has, and then how many they are.
        let done = unsafe {
            libc::getsockopt(
                client.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                gids.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let length = usize::try_from(bytes).map_err(io::Error::other)? / size_of::<u32>();
        if done == 0 {
            gids.truncate(length);
            return Ok(gids);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || length <= gids.len() || length > MAX_GROUPS {
            return Err(error);
        }
        gids.resize(length, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (client, _other) = UnixStream::pair().unwrap();
        let peer = Peer::of(&client).unwrap();
        assert_eq!(peer.uid, nix::unistd::geteuid().as_raw());
        let own = nix::unistd::getgroups().unwrap();
        assert!(own.iter().all(|gid| peer.gids.contains(&gid.as_raw())), "{peer:?} of {own:?}");
        assert!(peer.is_of_the_service());
    }

    #[test]
    fn another_user_in_other_groups_is_a_stranger() {
        let other = |number: u32| if number == 70_000 { 70_001 } else { 70_000 };
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        assert!(!Peer { uid: other(uid), gids: vec![other(gid)] }.is_of_the_service());
        assert!(Peer { uid: other(uid), gids: vec![other(gid), gid] }.is_of_the_service());
        assert!(Peer { uid: 0, gids: vec![other(gid)] }.is_of_the_service());
    }
}
