//! Which interfaces count. Keeps the kernel's filters true to the names that the user gave (an interface that is made
//! anew has a new index), and knows the ports of bridges, by which other hosts' packets leave, whatever source they name.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use libc::sock_filter;
use nix::net::if_::if_nametoindex;

use super::filter::Scope;
use super::socket::PacketSocket;
use crate::capture::{CaptureError, PacketSettings};

/// Makes a filter for a scope.
type Filter = fn(&Scope) -> Vec<sock_filter>;

/// The watched interfaces, and the sockets that watch them.
pub struct Interfaces {
    names: Vec<String>,
    scope: Scope,
    watched_by: Vec<(Arc<PacketSocket>, Filter)>,
    bridge_ports: HashSet<u32>,
}

/// Where the kernel shows the interfaces of the network namespace.
const SYSFS: &str = "/sys/class/net";

impl Interfaces {
    /// Watches the interfaces that `settings` name, or all when there are none. One that is not there yet is watched when it
    /// comes.
    pub fn new(settings: &PacketSettings, loopback: bool) -> Self {
        let names = settings.interfaces.clone();
        let scope = Scope {
            loopback,
            interfaces: indices(&names),
            drop_percent: settings.test_drop_percent,
            lose_fins: settings.test_lose_fins,
        };
        let bridge_ports = bridge_ports(Path::new(SYSFS));
        let interfaces = Self { names, scope, watched_by: Vec::new(), bridge_ports };
        for name in interfaces.absent() {
            tracing::warn!("there is no network interface {name:?} yet: trafcalc waits for it");
        }
        interfaces
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

    /// Whether what leaves by this interface may be anybody's: this host's own packets pass the bridge before its port.
    /// An interface that the user named counts all the same.
    pub fn is_bridge_port(&self, interface: u32) -> bool {
        self.names.is_empty() && self.bridge_ports.contains(&interface)
    }

    /// Looks whether the names mean other interfaces now, and which are ports of bridges.
    pub fn refresh(&mut self) -> Result<(), CaptureError> {
        if self.names.is_empty() {
            self.bridge_ports = bridge_ports(Path::new(SYSFS));
            return Ok(());
        }
        let interfaces = indices(&self.names);
        if interfaces != self.scope.interfaces {
            self.tell_changes(&interfaces);
            self.scope.interfaces = interfaces;
            for (socket, filter) in &self.watched_by {
                socket.set_filter(&filter(&self.scope))?;
            }
        }
        Ok(())
    }

    /// Says which of the named interfaces came and went since the last look.
    fn tell_changes(&self, interfaces: &[u32]) {
        let before_and_now = self.scope.interfaces.iter().zip(interfaces);
        for (name, (&before, &now)) in self.names.iter().zip(before_and_now) {
            match (before, now) {
                (ABSENT, now) if now != ABSENT => {
                    tracing::info!("the network interface {name:?} is there, and is counted");
                }
                (before, ABSENT) if before != ABSENT => {
                    tracing::warn!("the network interface {name:?} is gone: trafcalc waits for it");
                }
                _ => {}
            }
        }
    }
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
