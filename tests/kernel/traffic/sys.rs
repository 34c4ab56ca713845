//! System calls that no crate here wraps, or wraps for other uses. The unsafe code of the traffic program, apart from
//! `io_uring`'s.
#![expect(unsafe_code, reason = "talks to the kernel")]

use std::ffi::c_void;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// `IPPROTO_MPTCP` of linux/in.h.
const PROTOCOL_MPTCP: i32 = 262;

pub(super) fn mptcp_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; a non-negative result is a new descriptor that nobody else owns.
    unsafe {
        let fd = libc::socket(family as i32, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, PROTOCOL_MPTCP);
        Ok(OwnedFd::from_raw_fd(Errno::result(fd)?))
    }
}

/// Sets an option whose value is an `int`.
pub(super) fn set_option(socket: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    set_long_option(socket, level, name, &value.to_ne_bytes())
}

/// Sets an option whose value is something else.
pub(super) fn set_long_option(socket: &impl AsFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let length = value.len().try_into().map_err(io::Error::other)?;
    // SAFETY: the pointer is to bytes that live through the call, and `length` is their number.
    let result =
        unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, value.as_ptr().cast::<c_void>(), length) };
    Ok(Errno::result(result).map(drop)?)
}

pub(super) fn send_descriptor(to: &UnixStream, what: &TcpStream) -> io::Result<()> {
    let descriptors = [what.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&descriptors)];
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(b"x")], &message, MsgFlags::empty(), None)?;
    Ok(())
}

pub(super) fn receive_descriptor(from: &OwnedFd) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut space = nix::cmsg_space!([i32; 1]);
    let mut slices = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(from.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let descriptor = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
        _ => None,
    });
    let descriptor = descriptor.ok_or_else(|| io::Error::other("no descriptor was passed"))?;
    // SAFETY: the kernel has just made this descriptor for us, and the message that named it is not looked at again.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Which of the two calls that pass several messages.
#[derive(Clone, Copy)]
pub(super) enum Many {
    /// sendmmsg(2)
    Send,
    /// recvmmsg(2)
    Receive,
}

/// Sends from or reads into all of `parts` in one call, a message each, and gives the bytes moved.
pub(super) fn many(which: Many, socket: &TcpStream, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let message = |part: &mut IoSliceMut<'_>| {
        // SAFETY: all zeroes is a valid msghdr: no name, no data, no control messages.
        let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
        // IoSliceMut has the layout of iovec by its documentation.
        message.msg_hdr.msg_iov = std::ptr::from_mut(part).cast();
        message.msg_hdr.msg_iovlen = 1;
        message
    };
    let mut messages: Vec<libc::mmsghdr> = parts.iter_mut().map(message).collect();
    let (fd, count) = (socket.as_raw_fd(), u32::try_from(messages.len()).expect("a handful"));
    // SAFETY: `messages` and the buffers they point to live through the call, and `count` is their number.
    let done = unsafe {
        match which {
            Many::Send => libc::sendmmsg(fd, messages.as_mut_ptr(), count, 0),
            Many::Receive => {
                libc::recvmmsg(fd, messages.as_mut_ptr(), count, libc::MSG_WAITFORONE, std::ptr::null_mut())
            }
        }
    };
    let done = usize::try_from(Errno::result(done)?).expect("not negative");
    Ok(messages[..done].iter().map(|message| message.msg_len as usize).sum())
}

/// Part of a socket's receive queue, mapped instead of copied.
pub(super) struct Mapping {
    address: *mut c_void,
    length: usize,
}

/// `struct tcp_zerocopy_receive` of linux/tcp.h, its first fields (since 4.18); a shorter struct is allowed.
#[repr(C)]
struct ZerocopyReceive {
    address: u64,
    length: u32,
    recv_skip_hint: u32,
}

impl Mapping {
    pub(super) fn new(socket: &TcpStream, length: usize) -> io::Result<Self> {
        let (read, shared, fd) = (libc::PROT_READ, libc::MAP_SHARED, socket.as_raw_fd());
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that exists.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), length, read, shared, fd, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { address, length })
    }

    /// Takes at most `length` bytes off the stream by mapping them. Gives how many, and how many have to be read next
    /// because they cannot be mapped.
    pub(super) fn receive(&mut self, socket: &TcpStream, length: usize) -> io::Result<(usize, usize)> {
        let page = 4096;
        let length = u32::try_from(length.min(self.length) / page * page).map_err(io::Error::other)?;
        let mut request = ZerocopyReceive { address: self.address as u64, length, recv_skip_hint: 0 };
        let mut size = libc::socklen_t::try_from(size_of::<ZerocopyReceive>()).expect("16 fits");
        // SAFETY: pointer and size describe `request`; the pages the kernel maps are within our own mapping, whose old
        // pages nobody looks at.
        let result = unsafe {
            libc::madvise(self.address, self.length, libc::MADV_DONTNEED);
            let value = (&raw mut request).cast::<c_void>();
            libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_ZEROCOPY_RECEIVE, value, &raw mut size)
        };
        Errno::result(result)?;
        Ok((request.length as usize, request.recv_skip_hint as usize))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody has a reference into it.
        unsafe { libc::munmap(self.address, self.length) };
    }
}
