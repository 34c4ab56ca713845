//! `recv` behind `SO_RCVLOWAT`: the call sleeps until half a buffer is there.

use std::io::{self, Read as _};
use std::net::TcpStream;

use super::super::sys;

pub(super) struct LowWater;

impl LowWater {
    pub(super) fn new(socket: &TcpStream, chunk: usize) -> io::Result<Self> {
        let half = i32::try_from(chunk / 2).map_err(io::Error::other)?;
        sys::set_option(socket, libc::SOL_SOCKET, libc::SO_RCVLOWAT, half)?;
        Ok(Self)
    }
}

impl super::Receiver for LowWater {
    fn receive(&mut self, mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        socket.read(buffer)
    }
}
