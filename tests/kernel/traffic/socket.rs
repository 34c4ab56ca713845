//! Making sockets: of the transport and for the owner that the program names.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, setsockopt, socket, sockopt};
use nix::unistd::{Uid, setfsuid};

use super::spec::{Program, Transport};
use super::sys;

/// Connections that may wait to be accepted: more than any scenario makes at once.
const BACKLOG: i32 = 1024;

/// How many sockets of users that count up were made.
static MADE: AtomicU32 = AtomicU32::new(0);

pub(super) fn connect(program: &Program, addr: &SocketAddr) -> Result<TcpStream> {
    as_owner(program, || {
        let fd = open(program, addr)?;
        nix::sys::socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(*addr)).context("cannot connect")?;
        Ok(fd.into())
    })
}

pub(super) fn listen(program: &Program, addr: &SocketAddr) -> Result<TcpListener> {
    as_owner(program, || {
        let fd = open(program, addr)?;
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        nix::sys::socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(*addr)).context("cannot bind")?;
        let listener = TcpListener::from(fd);
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(BACKLOG)?)?;
        Ok(listener)
    })
}

pub(super) fn accept(program: &Program, listener: &TcpListener) -> Result<TcpStream> {
    as_owner(program, || Ok(listener.accept()?.0))
}

/// A new socket belongs to the user whom the thread is for file systems (kernel: `sock_alloc`, 5.10 to 7.2).
fn as_owner<T>(program: &Program, make: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(owner) = program.owner.filter(|_| program.uid == 0) else { return make() };
    let number = if program.owners_count_up { MADE.fetch_add(1, Ordering::Relaxed) } else { 0 };
    let former = setfsuid(Uid::from_raw(owner + number));
    let result = make();
    setfsuid(former);
    result
}

fn open(program: &Program, addr: &SocketAddr) -> Result<OwnedFd> {
    let fd = new(program.transport, addr)?;
    for option in &program.options {
        sys::set_long_option(&fd, option.level, option.name, &option.value).with_context(|| format!("{option:?}"))?;
    }
    Ok(fd)
}

fn new(transport: Transport, addr: &SocketAddr) -> Result<OwnedFd> {
    let family = if addr.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    if transport == Transport::Mptcp {
        return sys::mptcp_socket(family).context("cannot make an MPTCP socket");
    }
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    if transport == Transport::FastOpen {
        setsockopt(&fd, sockopt::TcpFastOpenConnect, &true)?;
    }
    Ok(fd)
}
