//! The packet socket behind a capture.
#![expect(unsafe_code, reason = "talks to the kernel")]

use std::ffi::c_void;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};

/// Room in the socket's queue, where a packet takes the memory of all its pages: some thousand of the largest.
const QUEUE: usize = 512 << 20;

/// How long the reader may not notice that it has to stop.
const TICK_MS: i64 = 20;

/// A packet socket for all packets of a namespace, from the network header on.
pub(super) struct Tap(OwnedFd);

pub(super) struct Packet {
    /// From the network header on, however much of it was read.
    pub(super) length: usize,
    pub(super) is_outgoing: bool,
}

impl Tap {
    /// For the calling thread's namespace.
    pub(super) fn open() -> Result<Self> {
        let (family, kind) = (AddressFamily::Packet, SockType::Datagram);
        let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll).context("no packet socket")?;
        setsockopt(&socket, sockopt::RcvBufForce, &QUEUE)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(TICK_MS))?;
        Ok(Self(socket))
    }

    /// Reads the beginning of the next packet; nothing if none comes for a moment.
    pub(super) fn next(&self, buffer: &mut [u8]) -> io::Result<Option<Packet>> {
        // SAFETY: all zeroes is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut size = libc::socklen_t::try_from(size_of_val(&address)).expect("20 fits");
        let (fd, start, room) = (self.0.as_raw_fd(), buffer.as_mut_ptr().cast::<c_void>(), buffer.len());
        // SAFETY: the pointers are to a buffer of `room` bytes and an address of `size` bytes, both ours.
        let length =
            unsafe { libc::recvfrom(fd, start, room, libc::MSG_TRUNC, (&raw mut address).cast(), &raw mut size) };
        match Errno::result(length) {
            Ok(length) => Ok(Some(Packet {
                length: usize::try_from(length).expect("not negative"),
                is_outgoing: address.sll_pkttype == libc::PACKET_OUTGOING,
            })),
            Err(error) => match io::Error::from(error) {
                error if error.kind() == ErrorKind::WouldBlock => Ok(None),
                // One that waits with a time limit is not begun anew when the kernel wants its thread for a moment.
                error if error.kind() == ErrorKind::Interrupted => Ok(None),
                // A device that went down says so once; its packets before are in the queue.
                error if error.kind() == ErrorKind::NetworkDown => Ok(None),
                error => Err(error),
            },
        }
    }

    /// How many packets found no room in the queue.
    pub(super) fn dropped(&self) -> io::Result<u32> {
        // SAFETY: all zeroes is a valid tpacket_stats.
        let mut counts: libc::tpacket_stats = unsafe { std::mem::zeroed() };
        let mut size = libc::socklen_t::try_from(size_of_val(&counts)).expect("8 fits");
        let value = (&raw mut counts).cast::<c_void>();
        // SAFETY: pointer and size describe `counts`.
        let result = unsafe {
            libc::getsockopt(self.0.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, value, &raw mut size)
        };
        Errno::result(result)?;
        Ok(counts.tp_drops)
    }
}
