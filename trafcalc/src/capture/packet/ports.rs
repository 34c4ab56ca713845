//! Who served which port: the best guess if a connection's socket was gone before it could be asked. Pure.

use std::collections::HashMap;
use std::net::Ipv6Addr;

/// Most local addresses and ports remembered; a host that serves more keeps the first ones. 4,096 take 150 KB.
const MAX_PORTS: usize = 4096;

/// Who owned the accepted connections of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Always the user with this id.
    By(u32),
    /// Several users: no guess is safe.
    BySeveral,
}

/// What was learnt about this host's ports.
#[derive(Debug, Default)]
pub struct PortHistory(HashMap<Service, Served>);

/// Local address, local port, and the user of the listening socket, so that another user's server that takes over the port begins anew.
type Service = (Ipv6Addr, u16, Option<u32>);

impl PortHistory {
    /// Notes that a connection accepted on a port of `listener` belongs to `uid`.
    pub fn learn(&mut self, address: Ipv6Addr, port: u16, listener: Option<u32>, uid: u32) {
        let full = self.0.len() >= MAX_PORTS;
        match self.0.get_mut(&(address, port, listener)) {
            Some(served) if *served != Served::By(uid) => *served = Served::BySeveral,
            Some(_) => {}
            None if full => {}
            None => {
                self.0.insert((address, port, listener), Served::By(uid));
            }
        }
    }

    /// Who owned the connections accepted on this port of `listener` so far, or else those of an unknown listener.
    #[must_use]
    pub fn served(&self, address: Ipv6Addr, port: u16, listener: Option<u32>) -> Option<Served> {
        [listener, None].into_iter().find_map(|listener| self.0.get(&(address, port, listener)).copied())
    }
}
