//! Two threads write to one socket at once, and two read from one.

use std::io;
use std::net::TcpStream;
use std::thread;

use super::{Scenario, plain_receive, plain_send};

pub(super) const SCENARIO: Scenario = Scenario { name: "two threads", connections: 1, send, receive };

fn send(socket: &TcpStream) -> io::Result<u64> {
    twice(|| plain_send(socket))
}

fn receive(socket: &TcpStream) -> io::Result<u64> {
    twice(|| plain_receive(socket))
}

/// Runs `work` in two threads and adds up the results.
fn twice(work: impl Fn() -> io::Result<u64> + Sync) -> io::Result<u64> {
    thread::scope(|scope| {
        let threads = [scope.spawn(&work), scope.spawn(&work)];
        let ended = threads.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ended.into_iter().sum()
    })
}
