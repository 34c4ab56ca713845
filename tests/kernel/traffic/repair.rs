//! `TCP_REPAIR`, with which a connection can be moved to another host, and a socket be given any numbers.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, bind};

use super::spec::Queue;
use super::sys::set_option;
use super::{life, tcp};

/// Values of `TCP_REPAIR` in linux/tcp.h.
const ON: i32 = 1;
const OFF: i32 = 0;
const OFF_WITHOUT_PROBE: i32 = -1;

/// Sets the number of the next byte of a queue to one further by so much. The kernel allows it for a socket without a
/// connection.
pub(super) fn renumber(socket: &TcpStream, queue: Queue, by: i32) -> Result<()> {
    set(socket, libc::TCP_REPAIR, ON)?;
    let number = number(socket, queue)?;
    set_number(socket, queue, number.wrapping_add(by))?;
    set(socket, libc::TCP_REPAIR, OFF_WITHOUT_PROBE)
}

/// Connects without a handshake.
pub(super) fn connect(socket: &TcpStream, addr: &SocketAddr) -> Result<()> {
    set(socket, libc::TCP_REPAIR, ON)?;
    life::connect_again(socket, addr)?;
    set(socket, libc::TCP_REPAIR, OFF_WITHOUT_PROBE)
}

/// Ends the connection without the peer's notice and goes on with it, as if it had been moved here. In between its
/// numbers are others.
pub(super) fn move_here(socket: &TcpStream, detour: i32) -> Result<()> {
    let (local, peer) = (socket.local_addr()?, socket.peer_addr()?);
    set(socket, libc::TCP_REPAIR, ON)?;
    let queues = [Queue::Receive, Queue::Send];
    let numbers = [number(socket, queues[0])?, number(socket, queues[1])?];
    tcp::disconnect(socket)?;
    for (queue, number) in queues.into_iter().zip(numbers) {
        set_number(socket, queue, number.wrapping_add(detour))?;
        set_number(socket, queue, number)?;
    }
    match bind(socket.as_raw_fd(), &SockaddrStorage::from(local)) {
        // A port that was asked for once stays the socket's.
        Err(Errno::EINVAL) => {}
        result => result.context("cannot have the port again")?,
    }
    life::connect_again(socket, &peer)?;
    // The probe's answer tells the peer's window.
    set(socket, libc::TCP_REPAIR, OFF)
}

fn number(socket: &TcpStream, queue: Queue) -> Result<i32> {
    choose(socket, queue)?;
    Ok(tcp::option(socket, libc::IPPROTO_TCP, libc::TCP_QUEUE_SEQ)?)
}

fn set_number(socket: &TcpStream, queue: Queue, number: i32) -> Result<()> {
    choose(socket, queue)?;
    set(socket, libc::TCP_QUEUE_SEQ, number)
}

fn choose(socket: &TcpStream, queue: Queue) -> Result<()> {
    /// `enum` of linux/tcp.h.
    const RECEIVE: i32 = 1;
    const SEND: i32 = 2;
    let queue = match queue {
        Queue::Receive => RECEIVE,
        Queue::Send => SEND,
    };
    set(socket, libc::TCP_REPAIR_QUEUE, queue)
}

fn set(socket: &TcpStream, name: i32, value: i32) -> Result<()> {
    set_option(socket, libc::IPPROTO_TCP, name, value).with_context(|| format!("option {name}"))
}
