//! Who served which port: the best guess for a connection whose socket was gone before it could be asked. Pure.

use std::collections::HashMap;
use std::net::Ipv6Addr;

/// Most local addresses and ports remembered; a host that serves more keeps the first ones. 4,096 take 150 KB.
const MAX_PORTS: usize = 4096;

/// Whom accepted connections of a port belonged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Always the user with this id.
    By(u32),
    /// Several users: no guess is safe.
    BySeveral,
}

/// What was learnt of the ports of this host.
#[derive(Debug, Default)]
pub struct PortHistory(HashMap<Service, Served>);

/// Local address, local port, and the user of the socket that listens there, so that a server of another user that takes
/// over the port begins anew.
type Service = (Ipv6Addr, u16, Option<u32>);

impl PortHistory {
    /// Notes that a connection accepted where `listener` listens belongs to `uid`.
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

    /// Whom connections accepted where `listener` listens belonged to so far, or else those whose listener was not known.
    #[must_use]
    pub fn served(&self, address: Ipv6Addr, port: u16, listener: Option<u32>) -> Option<Served> {
        [listener, None].into_iter().find_map(|listener| self.0.get(&(address, port, listener)).copied())
    }
}
