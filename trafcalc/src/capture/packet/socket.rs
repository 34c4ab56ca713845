//! One `AF_PACKET` socket: opened without traffic, then filtered, then bound. All of its system calls are here.
#![expect(unsafe_code, reason = "the packet socket's options have no safe wrapper")]

use std::ffi::c_int;
use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_void, sock_filter, socklen_t};

use crate::capture::CaptureError;

/// A packet socket that hides the link layer.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

/// What else `receive` returns about a packet.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Bytes copied.
    pub captured_bytes: usize,
    /// Index of the interface.
    pub interface: u32,
    /// The protocol at the network header.
    pub ethertype: u16,
}

impl PacketSocket {
    /// Opens a socket that passes what `filter` keeps, but only once it is [bound](Self::bind).
    ///
    /// # Errors
    /// [`CaptureError::Privilege`] without `CAP_NET_RAW`, else the kernel's error.
    pub fn open(filter: &[sock_filter]) -> Result<Self, CaptureError> {
        // SAFETY: no pointers are passed; the descriptor is checked before it is owned.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            let source = io::Error::last_os_error();
            return Err(match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    CaptureError::Privilege { what: "opening a packet socket", capability: "CAP_NET_RAW" }
                }
                _ => CaptureError::System { what: "opening a packet socket", source },
            });
        }
        // SAFETY: `fd` was just returned by socket() and belongs to nobody else.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        socket.set_filter(filter)?;
        Ok(socket)
    }

    /// Replaces the filter; each packet passes the old one or the new one.
    pub fn set_filter(&self, filter: &[sock_filter]) -> Result<(), CaptureError> {
        let program = libc::sock_fprog {
            len: u16::try_from(filter.len()).expect("the filters are short"),
            filter: filter.as_ptr().cast_mut(),
        };
        self.set_option(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program, "attaching the packet filter")
    }

    /// Receives packets of all protocols on all interfaces.
    pub fn bind(&self) -> Result<(), CaptureError> {
        // SAFETY: sockaddr_ll is plain data for which zeros are valid.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).expect("a small constant");
        address.sll_protocol = u16::try_from(libc::ETH_P_ALL).expect("a small constant").to_be();
        // SAFETY: the pointer and the length describe `address`, which outlives the call.
        let result = unsafe { libc::bind(self.raw(), (&raw const address).cast(), socklen_of(&address)) };
        check(result, "binding the packet socket")
    }

    /// Sets a socket option whose value is `value`.
    pub fn set_option<T>(&self, level: c_int, name: c_int, value: &T, what: &'static str) -> Result<(), CaptureError> {
        // SAFETY: the pointer and the length describe `value`, which outlives the call.
        let result = unsafe {
            libc::setsockopt(self.raw(), level, name, (&raw const *value).cast::<c_void>(), socklen_of(value))
        };
        check(result, what)
    }

    /// Packets the kernel had no room for since the last call.
    pub fn take_drops(&self) -> Result<u64, CaptureError> {
        // SAFETY: tpacket_stats_v3 is plain data for which zeros are valid.
        let mut statistics: libc::tpacket_stats_v3 = unsafe { zeroed() };
        let mut length = socklen_of(&statistics);
        // SAFETY: the pointers describe `statistics` and its length, which outlive the call; the kernel writes at
        // most `length` bytes (the shorter form for other ring versions).
        let result = unsafe {
            libc::getsockopt(
                self.raw(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut length,
            )
        };
        check(result, "reading the packet statistics")?;
        Ok(u64::from(statistics.tp_drops))
    }

    /// The next waiting packet, or `None` when none waits.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<Arrival>, CaptureError> {
        // SAFETY: sockaddr_ll is plain data for which zeros are valid.
        let mut from: libc::sockaddr_ll = unsafe { zeroed() };
        let mut length = socklen_of(&from);
        // SAFETY: the pointers describe `buffer`, `from` and its length, which outlive the call.
        let received = unsafe {
            libc::recvfrom(
                self.raw(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_DONTWAIT,
                (&raw mut from).cast(),
                &raw mut length,
            )
        };
        let Ok(bytes) = usize::try_from(received) else {
            let source = io::Error::last_os_error();
            return match source.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                // An interface went down; the socket still works.
                _ if source.raw_os_error() == Some(libc::ENETDOWN) => Ok(None),
                _ => Err(CaptureError::System { what: "reading the packet socket", source }),
            };
        };
        Ok(Some(Arrival {
            captured_bytes: bytes,
            interface: from.sll_ifindex.cast_unsigned(),
            ethertype: u16::from_be(from.sll_protocol),
        }))
    }

    fn raw(&self) -> c_int {
        self.0.as_raw_fd()
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn socklen_of<T>(value: &T) -> socklen_t {
    debug_assert_eq!(size_of_val(value), size_of::<T>());
    socklen_t::try_from(size_of::<T>()).expect("socket structures are small")
}

fn check(result: c_int, what: &'static str) -> Result<(), CaptureError> {
    if result < 0 { Err(CaptureError::System { what, source: io::Error::last_os_error() }) } else { Ok(()) }
}
