//! Classes of networks: accounts are told apart by the class of the peer's address. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

/// The name of the class of addresses that no configured class contains.
pub const REST: &str = "internet";

/// A network in CIDR notation (RFC 4632), as in `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a text is not a network.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NetworkError {
    /// The text is not a network.
    #[error("{0:?} is no network such as 10.0.0.0/8 or fd00::/8")]
    NotANetwork(String),
    /// The address has bits set after the prefix.
    #[error("{text:?} has bits set after its prefix: the network is {network}")]
    BitsBehind {
        /// The text.
        text: String,
        /// The network that contains the address.
        network: Network,
    },
}

impl std::fmt::Display for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = || NetworkError::NotANetwork(text.to_owned());
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
        // An IPv4-mapped IPv6 address must be written as IPv4.
        if bits > most || address.to_canonical() != address {
            return Err(wrong());
        }
        let network = Self { address: masked(address, bits), bits };
        if network.address == address {
            Ok(network)
        } else {
            Err(NetworkError::BitsBehind { text: text.to_owned(), network })
        }
    }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

impl Network {
    /// Its first address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// The length of its prefix, in bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.bits
    }
}

/// A named set of networks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Class {
    /// Its name.
    pub name: Arc<str>,
    /// Its networks; an address in several networks belongs to the longest prefix.
    pub networks: Vec<Network>,
}

/// All classes. If there are none, accounts are not told apart by class. The number of a class is its position, counted from 1; 0
/// stands for the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Classes(pub Vec<Class>);

/// Looks up classes by address, with one step per prefix length in use.
#[derive(Clone, Debug, Default)]
pub struct ClassTable {
    names: Vec<Arc<str>>,
    /// For each family and prefix length: whether it is IPv4, the length, and the classes of the networks. The longest prefixes come
    /// first.
    lengths: Vec<(bool, u8, HashMap<IpAddr, usize>)>,
}

impl ClassTable {
    /// A table of `classes`.
    #[must_use]
    pub fn new(classes: &Classes) -> Self {
        let mut lengths: BTreeMap<(bool, Reverse<u8>), HashMap<IpAddr, usize>> = BTreeMap::new();
        for (network, number) in classes.networks() {
            let of_length = lengths.entry((network.address.is_ipv4(), Reverse(network.bits))).or_default();
            of_length.insert(network.address, usize::try_from(number).unwrap_or_default());
        }
        let lengths = lengths.into_iter().map(|((is_v4, Reverse(bits)), networks)| (is_v4, bits, networks));
        Self { names: classes.names().collect(), lengths: lengths.collect() }
    }

    /// Whether there is no class.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The class of a peer at `address`, by the longest prefix. `None` if accounts are not told apart by class.
    #[must_use]
    pub fn of(&self, address: Ipv6Addr) -> Option<Arc<str>> {
        let address = address.to_canonical();
        let mut of_family = self.lengths.iter().filter(|(is_v4, ..)| *is_v4 == address.is_ipv4());
        let found = of_family.find_map(|(_, bits, networks)| networks.get(&masked(address, *bits)));
        self.names.get(found.copied().unwrap_or_default()).cloned()
    }
}

impl Classes {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All networks, each with the number of its class.
    pub fn networks(&self) -> impl Iterator<Item = (Network, u32)> {
        (1..).zip(&self.0).flat_map(|(number, class)| class.networks.iter().map(move |network| (*network, number)))
    }

    /// The name of the class with this number; `None` if accounts are not told apart by class.
    #[must_use]
    pub fn name(&self, number: u32) -> Option<Arc<str>> {
        let named = |place| self.0.get(place).map(|class: &Class| Arc::clone(&class.name));
        let place = usize::try_from(number).ok()?.checked_sub(1);
        (!self.is_empty()).then(|| place.and_then(named).unwrap_or_else(|| REST.into()))
    }

    /// The names of all classes, that of the rest first; none if accounts are not told apart by class.
    pub fn names(&self) -> impl Iterator<Item = Arc<str>> {
        let count = if self.is_empty() { 0 } else { self.0.len() + 1 };
        (0..).take(count).filter_map(|number| self.name(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes() -> Classes {
        let class = |name: &str, networks: &[&str]| Class {
            name: name.into(),
            networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        };
        Classes(vec![class("lan", &["10.0.0.0/8", "fd00::/8"]), class("lab", &["10.7.0.0/16", "192.0.2.1", "::/0"])])
    }

    fn of(address: &str) -> Option<Arc<str>> {
        let address: IpAddr = address.parse().unwrap();
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        ClassTable::new(&classes()).of(address)
    }

    #[test]
    fn the_longest_prefix_counts_within_its_own_family() {
        for (address, name) in [
            ("10.1.2.3", "lan"),
            ("10.7.2.3", "lab"),
            ("192.0.2.1", "lab"),
            ("192.0.2.2", REST),
            ("fd12::1", "lan"),
            ("2001:db8::1", "lab"),
        ] {
            assert_eq!(of(address).as_deref(), Some(name), "{address}");
        }
        assert_eq!(ClassTable::default().of(Ipv6Addr::LOCALHOST), None);
        assert_eq!(classes().names().collect::<Vec<_>>(), [REST.into(), "lan".into(), Arc::from("lab")]);
        assert_eq!(Classes::default().names().count(), 0);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "10.0.0.0/33", "10.0.0/8", "lan", "::ffff:10.0.0.0/104", "10.0.0.0/-1", "fd00::/129", "10.0.0.0/ 8"]
        {
            assert_eq!(text.parse::<Network>(), Err(NetworkError::NotANetwork(text.to_owned())));
        }
        let told = "10.1.0.0/8".parse::<Network>().unwrap_err().to_string();
        assert_eq!(told, "\"10.1.0.0/8\" has bits set after its prefix: the network is 10.0.0.0/8");
        for whole in ["0.0.0.0/0", "::/0", "fd00::/8", "10.0.0.1/32"] {
            assert_eq!(whole.parse::<Network>().unwrap().to_string(), whole);
        }
    }
}
