//! Which interfaces count. Keeps the kernel's filters true to the names that the user gave (an interface that is made
//! anew has a new index), and knows the ports of bridges, by which other hosts' packets leave, whatever source they name. The kernel
//! tells of every change (`rtnetlink(7)`). The filters let interfaces pass that are newer than what is known, so that nothing is
//! missed until the reader hears of them.

use std::collections::HashSet;
use std::fs;
use std::net::Ipv6Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use libc::sock_filter;
use netlink_sys::{Socket, SocketAddr as NetlinkAddr, protocols::NETLINK_ROUTE};
use nix::net::if_::{if_nameindex, if_nametoindex};

use super::addresses::Addresses;
use super::filter::Scope;
use super::socket::PacketSocket;
use crate::capture::{CaptureError, PacketSettings};

/// Makes a filter for a scope.
type Filter = fn(&Scope) -> Vec<sock_filter>;

/// The watched interfaces, and the sockets that watch them.
pub struct Interfaces {
    names: Vec<String>,
    scope: Scope,
    /// What the names meant before, the latest last: packets of these may still be in the rings.
    former: Vec<u32>,
    watched_by: Vec<(Arc<PacketSocket>, Filter)>,
    bridge_ports: HashSet<u32>,
    /// Where the kernel tells of changes.
    changes: Socket,
    addresses: Addresses,
    /// Why the filters could not be changed.
    failure: Option<CaptureError>,
}

/// Where the kernel shows the interfaces of the network namespace.
const SYSFS: &str = "/sys/class/net";
/// `RTMGRP_LINK` of the kernel: what happens to interfaces.
const LINK_CHANGES: u32 = 1;
/// The kernel's messages about an interface are shorter; what does not fit is cut off, and is not read anyway.
const MESSAGE_BYTES: usize = 4096;
/// Most former indices that are remembered.
const MAX_FORMER: usize = 16;

impl Interfaces {
    /// Watches the interfaces that `settings` name, or all when there are none. One that is not there yet is watched when it
    /// comes.
    ///
    /// # Errors
    /// The kernel tells of no changes, or of no routes.
    pub fn new(settings: &PacketSettings, loopback: bool) -> Result<Self, CaptureError> {
        let names = settings.interfaces.clone();
        // Before the first look, so that no change is missed.
        let changes = listen().map_err(|source| CaptureError::System { what: "opening rtnetlink", source })?;
        let newest = newest();
        let scope = Scope {
            loopback,
            interfaces: indices(&names),
            newest,
            drop_percent: settings.test_drop_percent,
            lose_fins: settings.test_lose_fins,
        };
        let bridge_ports = bridge_ports(Path::new(SYSFS));
        let (former, watched_by) = (Vec::new(), Vec::new());
        let interfaces = Self {
            names,
            scope,
            former,
            watched_by,
            bridge_ports,
            changes,
            addresses: Addresses::open()?,
            failure: None,
        };
        for name in interfaces.absent() {
            tracing::warn!("there is no network interface {name:?} yet: trafcalc waits for it");
        }
        Ok(interfaces)
    }

    /// Those that were named and are not there, as far as is known since the last look.
    pub fn absent(&self) -> impl Iterator<Item = &str> {
        let named = self.names.iter().zip(&self.scope.interfaces);
        named.filter(|&(_, &index)| index == ABSENT).map(|(name, _)| name.as_str())
    }

    /// Opens a socket that passes what `filter` keeps, and keeps it up to date.
    pub fn open_socket(&mut self, filter: Filter) -> Result<Arc<PacketSocket>, CaptureError> {
        let socket = Arc::new(PacketSocket::open(&filter(&self.scope))?);
        self.watched_by.push((Arc::clone(&socket), filter));
        Ok(socket)
    }

    /// Whether what passes this interface counts. What leaves by the port of a bridge may be anybody's, and this host's own packets
    /// pass the bridge before; one that the user named counts all the same.
    pub fn counts(&mut self, interface: u32) -> bool {
        if interface > self.scope.newest {
            if let Err(error) = self.refresh() {
                self.failure = Some(error);
            }
            // It may be gone already.
            self.scope.newest = self.scope.newest.max(interface);
        }
        if self.names.is_empty() {
            !self.bridge_ports.contains(&interface)
        } else {
            self.scope.interfaces.contains(&interface) || self.former.contains(&interface)
        }
    }

    /// Whether an address is one of this host's, seen at this interface.
    pub fn has_address(&mut self, address: Ipv6Addr, interface: u32) -> bool {
        self.addresses.is_local(address, interface)
    }

    /// Takes notice of what the kernel has told since the last call.
    ///
    /// # Errors
    /// The filters could not be changed.
    pub fn follow_changes(&mut self) -> Result<(), CaptureError> {
        if self.have_changed() {
            self.refresh()?;
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Takes all messages. Those that the kernel had no room for are told of by an error (`ENOBUFS`), and a change, too.
    fn have_changed(&self) -> bool {
        let mut have_changed = false;
        loop {
            match self.changes.recv(&mut Vec::with_capacity(MESSAGE_BYTES), 0) {
                Err(error) if error.raw_os_error() != Some(libc::ENOBUFS) => return have_changed,
                _ => have_changed = true,
            }
        }
    }

    /// Looks which interfaces the names mean now, and which are ports of bridges.
    fn refresh(&mut self) -> Result<(), CaptureError> {
        // The other way round, one that comes between the two would be known and not be watched.
        let newest = newest();
        if self.names.is_empty() {
            self.bridge_ports = bridge_ports(Path::new(SYSFS));
            self.scope.newest = newest;
            return Ok(());
        }
        let interfaces = indices(&self.names);
        if interfaces != self.scope.interfaces {
            self.tell_changes(&interfaces);
            self.retire(&interfaces);
        } else if newest == self.scope.newest {
            return Ok(());
        }
        self.scope = Scope { interfaces, newest, ..self.scope.clone() };
        self.watched_by.iter().try_for_each(|(socket, filter)| socket.set_filter(&filter(&self.scope)))
    }

    /// Remembers what the names meant, and forgets of former ones what they mean again.
    fn retire(&mut self, interfaces: &[u32]) {
        self.former.extend(self.scope.interfaces.iter().filter(|&&index| index != ABSENT));
        self.former.retain(|index| !interfaces.contains(index));
        self.former.drain(..self.former.len().saturating_sub(MAX_FORMER));
    }

    /// Says which of the named interfaces came and went since the last look.
    fn tell_changes(&self, interfaces: &[u32]) {
        let before_and_now = self.scope.interfaces.iter().zip(interfaces);
        for (name, (&before, &now)) in self.names.iter().zip(before_and_now) {
            match (before, now) {
                (ABSENT, now) if now != ABSENT => {
                    tracing::info!("the network interface {name:?} exists now, and is counted");
                }
                (before, ABSENT) if before != ABSENT => {
                    tracing::warn!("the network interface {name:?} is gone: trafcalc waits for it");
                }
                _ => {}
            }
        }
    }
}

impl AsFd for Interfaces {
    /// What is readable when something has changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}

fn listen() -> std::io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&NetlinkAddr::new(0, LINK_CHANGES))?;
    socket.set_non_blocking(true)?;
    Ok(socket)
}

/// The greatest index of an interface. The kernel counts up.
fn newest() -> u32 {
    if_nameindex().map_or(u32::MAX, |all| all.iter().map(nix::net::if_::Interface::index).max().unwrap_or(ABSENT))
}

/// Indices of the interfaces below `sysfs` that are ports of a bridge.
fn bridge_ports(sysfs: &Path) -> HashSet<u32> {
    let Ok(interfaces) = fs::read_dir(sysfs) else { return HashSet::new() };
    let index_of_port = |interface: std::io::Result<fs::DirEntry>| {
        let path = interface.ok()?.path();
        path.join("brport").exists().then(|| fs::read_to_string(path.join("ifindex")).ok()?.trim().parse().ok())?
    };
    interfaces.filter_map(index_of_port).collect()
}

/// No interface has this index. With it, a list of none is not taken for all.
const ABSENT: u32 = 0;

/// Their indices, each at its place.
fn indices(names: &[String]) -> Vec<u32> {
    names.iter().map(|name| if_nametoindex(name.as_str()).unwrap_or(ABSENT)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_of_bridges_are_known_by_their_index() {
        let sysfs = tempfile::tempdir().unwrap();
        for (name, index, is_port) in [("eth0", 2, false), ("veth1", 7, true), ("br0", 3, false), ("veth2", 9, true)] {
            fs::create_dir(sysfs.path().join(name)).unwrap();
            fs::write(sysfs.path().join(name).join("ifindex"), format!("{index}\n")).unwrap();
            if is_port {
                fs::create_dir(sysfs.path().join(name).join("brport")).unwrap();
            }
        }
        assert_eq!(bridge_ports(sysfs.path()), HashSet::from([7, 9]));
        assert_eq!(bridge_ports(&sysfs.path().join("none")), HashSet::new());
    }
}
