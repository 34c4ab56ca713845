//! Which interfaces count. Keeps the kernel's filters in step with the names that the user gave (an interface that is made anew has a new
//! index), and knows the ports of bridges, through which packets of other hosts leave, with any source address. The kernel reports every
//! change (`rtnetlink(7)`). The filters pass interfaces that are newer than known ones, so that nothing is missed until the reader learns
//! of them.

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
    /// Former indices of the names, the latest last: packets of these may still be in the rings.
    former: Vec<u32>,
    watched_by: Vec<(Arc<PacketSocket>, Filter)>,
    bridge_ports: HashSet<u32>,
    /// The kernel reports changes here.
    changes: Socket,
    addresses: Addresses,
    /// Why the filters could not be changed.
    failure: Option<CaptureError>,
}

/// Where the kernel shows the interfaces of the network namespace.
const SYSFS: &str = "/sys/class/net";
/// `RTMGRP_LINK` of the kernel: changes of interfaces.
const LINK_CHANGES: u32 = 1;
/// The kernel's messages about an interface are shorter; what does not fit is cut off, and is not needed.
const MESSAGE_BYTES: usize = 4096;
/// Most former indices remembered.
const MAX_FORMER: usize = 16;

impl Interfaces {
    /// Watches the interfaces that `settings` name, or all if they name none. One that does not exist yet is watched once it does.
    ///
    /// # Errors
    /// The kernel reports no changes, or no routes.
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

    /// Named interfaces that did not exist at the last look.
    pub fn absent(&self) -> impl Iterator<Item = &str> {
        let named = self.names.iter().zip(&self.scope.interfaces);
        named.filter(|&(_, &index)| index == ABSENT).map(|(name, _)| name.as_str())
    }

    /// Opens a socket with `filter`, and keeps its filter up to date.
    pub fn open_socket(&mut self, filter: Filter) -> Result<Arc<PacketSocket>, CaptureError> {
        let socket = Arc::new(PacketSocket::open(&filter(&self.scope))?);
        self.watched_by.push((Arc::clone(&socket), filter));
        Ok(socket)
    }

    /// Whether packets on this interface count. What leaves through a bridge port may be anybody's, and this host's own packets pass the
    /// bridge before. A port that the user named counts all the same.
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

    /// Whether an address is one of this host's, seen from this interface.
    pub fn has_address(&mut self, address: Ipv6Addr, interface: u32) -> bool {
        self.addresses.is_local(address, interface)
    }

    /// Applies what the kernel has reported since the last call.
    ///
    /// # Errors
    /// The filters could not be changed.
    pub fn follow_changes(&mut self) -> Result<(), CaptureError> {
        if self.have_changed() {
            self.refresh()?;
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Reads all messages. An error (`ENOBUFS`) reports those that the kernel had no room for, and is a change, too.
    fn have_changed(&self) -> bool {
        let mut have_changed = false;
        loop {
            match self.changes.recv(&mut Vec::with_capacity(MESSAGE_BYTES), 0) {
                Err(error) if error.raw_os_error() != Some(libc::ENOBUFS) => return have_changed,
                _ => have_changed = true,
            }
        }
    }

    /// Looks up the current indices of the names, and the ports of bridges.
    fn refresh(&mut self) -> Result<(), CaptureError> {
        // In the other order, one that appears in between would be known but not watched.
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

    /// Remembers replaced indices of the names, and forgets those that are current again.
    fn retire(&mut self, interfaces: &[u32]) {
        self.former.extend(self.scope.interfaces.iter().filter(|&&index| index != ABSENT));
        self.former.retain(|index| !interfaces.contains(index));
        self.former.drain(..self.former.len().saturating_sub(MAX_FORMER));
    }

    /// Logs which named interfaces came and went since the last look.
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
    /// Readable when something has changed.
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

/// The greatest interface index. The kernel counts up.
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

/// No interface has this index. An empty list would mean all interfaces.
const ABSENT: u32 = 0;

/// Indices in the order of the names.
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
