//! The receiver reads nothing and resets the connection while the sender has more data queued than ever leaves. What left counts as
//! sent, and what arrived as received.
//!
//! No read or write returns these numbers, so they are the kernel's (`TCP_INFO`).
#![expect(unsafe_code, reason = "TCP_INFO has no safe wrapper")]

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::thread;

use nix::sys::socket::{setsockopt, sockopt};

use super::{CHUNK, Scenario, TICK};

pub(super) const SCENARIO: Scenario = Scenario { name: "reset", connections: 1, send, receive };

/// After this many polls in a row without arrivals, nothing more is expected: after a second. If the rest of the window is smaller than
/// a segment, the sender waits for the retransmission timeout (0.2 s and more: `TCP_RTO_MIN`).
const QUIET: u32 = 200;

fn send(mut socket: &TcpStream) -> io::Result<u64> {
    socket.set_nonblocking(true)?;
    let buffer = vec![0x5a; CHUNK];
    while socket.write(&buffer).is_ok() {}
    socket.set_nonblocking(false)?;
    let _ = socket.read(&mut [0]);
    let info = tcp_info(socket)?;
    Ok(info.tcpi_bytes_sent - info.tcpi_bytes_retrans)
}

fn receive(socket: &TcpStream) -> io::Result<u64> {
    let (mut received, mut quiet) = (0, 0);
    while received == 0 || quiet < QUIET {
        thread::sleep(TICK);
        let now = tcp_info(socket)?.tcpi_bytes_received;
        quiet = if now == received { quiet + 1 } else { 0 };
        received = now;
    }
    // The close is a reset.
    setsockopt(socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
    Ok(received)
}

/// The kernel's `tcp_info` of a connection (include/uapi/linux/tcp.h; all fields used here since Linux 4.19).
fn tcp_info(socket: &TcpStream) -> io::Result<libc::tcp_info> {
    // SAFETY: tcp_info is plain data for which zeros are valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of_val(&info)).expect("a small structure");
    // SAFETY: both pointers are to locals that outlive the call, which writes at most `length` bytes.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &raw mut length)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(info) }
}
