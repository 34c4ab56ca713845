//! One request at a time through `io_uring`.
#![expect(unsafe_code, reason = "talks to the kernel")]

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;

use io_uring::{IoUring, opcode, squeue, types};

/// A ring with one request in flight.
pub(super) struct Ring(IoUring);

impl Ring {
    pub(super) fn new() -> io::Result<Self> {
        IoUring::new(1).map(Self)
    }

    pub(super) fn send(&mut self, socket: &TcpStream, buffer: &[u8]) -> io::Result<usize> {
        let length = u32::try_from(buffer.len()).map_err(io::Error::other)?;
        let request = opcode::Send::new(types::Fd(socket.as_raw_fd()), buffer.as_ptr(), length).build();
        // SAFETY: the buffer is borrowed until `complete` returns, and then the kernel is done with it.
        unsafe { self.complete(&request) }
    }

    pub(super) fn receive(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let length = u32::try_from(buffer.len()).map_err(io::Error::other)?;
        let request = opcode::Recv::new(types::Fd(socket.as_raw_fd()), buffer.as_mut_ptr(), length).build();
        // SAFETY: the buffer is borrowed until `complete` returns, and then the kernel is done with it.
        unsafe { self.complete(&request) }
    }

    /// # Safety
    /// What `request` points to must live until this returns.
    unsafe fn complete(&mut self, request: &squeue::Entry) -> io::Result<usize> {
        // SAFETY: the caller's promise; nothing else is in the queue.
        unsafe { self.0.submission().push(request) }.map_err(io::Error::other)?;
        self.0.submit_and_wait(1)?;
        let result = self.0.completion().next().ok_or_else(|| io::Error::other("no completion"))?.result();
        usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
    }
}
