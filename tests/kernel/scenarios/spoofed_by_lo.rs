//! An unprivileged process sends a SYN with the addresses of another user's connection through `lo`: the connection is not
//! taken for one within this host.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};

use super::{Counters, Scenario, Test, finish_all};
use crate::running::Running;
use crate::service::Options;
use crate::target::{Family, Target};
use crate::traffic::spec::{CHUNK, Step, receive, receive_all, send};
use crate::world::{World, address_of};

/// With IPv4 there is no route from a foreign address to an own one.
pub(super) const SCENARIO: Scenario =
    Scenario::new("spoofed_by_lo", run).families(&[Family::Ipv6]).targets(Target::is_ebpf);

/// Until the kernel has taken the SYN in.
const PAUSE: Duration = Duration::from_millis(100);

fn run(test: &Test) -> Result<()> {
    for with_report in [true, false] {
        spoof(test, with_report)?;
    }
    Ok(())
}

fn spoof(test: &Test, with_report: bool) -> Result<()> {
    let world = World::new()?;
    let services = test.start(&world, &Options { interval: "1d", ..Options::default() })?;
    let server = test.server([receive(100_000), send(50_000, CHUNK), receive_all()]);
    let client = test.client([send(100_000, CHUNK), receive(50_000), Step::AwaitAcknowledged, Step::Hold, Step::Reset]);
    let server = Running::start(&server, &world.far)?;
    let mut client = Running::start(&client, &world.near)?;
    client.wait_for_hold()?;
    let socket = world.near.enter(|| send_syn(test.family))??;
    sleep(PAUSE);
    if with_report {
        for service in &services {
            service.report_now()?;
        }
    }
    drop(socket);
    client.go_on()?;
    let truth = finish_all([(&world.far, server), (&world.near, client)])?;
    Counters::Own(services).stop()?.must_equal(&truth)
}

/// From the peer of the only connection here, to this end of it.
fn send_syn(family: Family) -> Result<OwnedFd> {
    let (peer, mut own) = (address_of(family, 0, 2), address_of(family, 0, 1));
    own.set_port(local_port(peer.port())?);
    let fd = socket(AddressFamily::Inet6, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    // On a socket of IPv6, too, and nobody is asked for a privilege.
    setsockopt(&fd, sockopt::IpFreebind, &true)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(peer))?;
    // It goes on in the background.
    let _ = connect(fd.as_raw_fd(), &SockaddrStorage::from(own));
    Ok(fd)
}

/// The local port of the connection to this port.
fn local_port(remote: u16) -> Result<u16> {
    let text = fs::read_to_string("/proc/thread-self/net/tcp6")?;
    let port = |column: &str| u16::from_str_radix(column.rsplit(':').next()?, 16).ok();
    let is_it = |columns: &Vec<&str>| columns.get(2).copied().and_then(port) == Some(remote);
    let mut rows = text.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.find(is_it).and_then(|columns| port(columns[1])).context("no connection")
}
