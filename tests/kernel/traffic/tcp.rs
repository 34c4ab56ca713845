//! Calls on TCP sockets that no crate here wraps.
#![expect(unsafe_code, reason = "talks to the kernel")]

use std::ffi::c_void;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;

/// Connects to no address (`AF_UNSPEC`), which ends the connection and leaves the socket.
pub(super) fn disconnect(socket: &TcpStream) -> io::Result<()> {
    // SAFETY: all zeroes is a valid sockaddr, of the family AF_UNSPEC.
    let nowhere: libc::sockaddr = unsafe { std::mem::zeroed() };
    let size = libc::socklen_t::try_from(size_of_val(&nowhere)).expect("16 fits");
    // SAFETY: pointer and size describe `nowhere`.
    let result = unsafe { libc::connect(socket.as_raw_fd(), &raw const nowhere, size) };
    Ok(Errno::result(result).map(drop)?)
}

/// Bytes that arrived and were not read.
pub(super) fn unread(socket: &TcpStream) -> io::Result<usize> {
    queued(socket, libc::FIONREAD)
}

/// Bytes that were written and are not acknowledged, a FIN included.
pub(super) fn unacknowledged(socket: &TcpStream) -> io::Result<usize> {
    queued(socket, libc::TIOCOUTQ)
}

fn queued(socket: &TcpStream, what: libc::Ioctl) -> io::Result<usize> {
    let mut count: i32 = 0;
    // SAFETY: both requests store an int where the pointer points.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw mut count) };
    Errno::result(result)?;
    usize::try_from(count).map_err(io::Error::other)
}

/// The value of an option that is an `int`.
pub(super) fn option(socket: &TcpStream, level: i32, name: i32) -> io::Result<i32> {
    let mut value: i32 = 0;
    let mut size = libc::socklen_t::try_from(size_of_val(&value)).expect("4 fits");
    let pointer = (&raw mut value).cast::<c_void>();
    // SAFETY: pointer and size describe `value`.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, pointer, &raw mut size) };
    Errno::result(result)?;
    Ok(value)
}
