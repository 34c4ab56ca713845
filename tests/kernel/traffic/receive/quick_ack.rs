//! `TCP_QUICKACK` before each `recv`, as low-latency programs do.

use std::io::{self, Read as _};
use std::net::TcpStream;

use super::super::sys;

pub(super) struct QuickAck;

impl super::Receiver for QuickAck {
    fn receive(&mut self, mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        sys::set_option(socket, libc::IPPROTO_TCP, libc::TCP_QUICKACK, 1)?;
        socket.read(buffer)
    }
}
