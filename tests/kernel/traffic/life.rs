//! What happens to a connection besides sending and reading: waits for the peer, and a second life.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::SockaddrStorage;

use super::tcp;

/// How often a wait looks.
const TICK: Duration = Duration::from_millis(1);

/// How often a wait looks before it gives up: a minute at least.
const LOOKS: u32 = 60_000;

fn wait_until(mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..LOOKS {
        if is_so()? {
            return Ok(());
        }
        sleep(TICK);
    }
    anyhow::bail!("it did not come to that")
}

/// Peeks until so many bytes are there, or the stream has ended. Only peeks show that it ended.
pub(super) fn peek(socket: &TcpStream, bytes: usize) -> Result<()> {
    let mut buffer = vec![0; bytes];
    wait_until(|| {
        let length = socket.peek(&mut buffer)?;
        Ok(length == bytes || length == 0)
    })
}

pub(super) fn wait_for_unread(socket: &TcpStream, bytes: usize) -> Result<()> {
    wait_until(|| Ok(tcp::unread(socket)? >= bytes))
}

pub(super) fn wait_until_acknowledged(socket: &TcpStream) -> Result<()> {
    wait_until(|| Ok(tcp::unacknowledged(socket)? == 0))
}

pub(super) fn wait_for_reset(socket: &TcpStream) -> Result<()> {
    let mut wanted = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    ensure!(poll(&mut wanted, PollTimeout::from(60_000_u16))? == 1, "no reset came");
    Ok(())
}

pub(super) fn connect_again(socket: &TcpStream, addr: &SocketAddr) -> Result<()> {
    // What made the former connection fail is told once, and not by `connect`.
    let _ = socket.take_error()?;
    nix::sys::socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(*addr)).context("cannot connect again")
}
