//! The classes of networks, in maps that the programs search by address prefix. The names of the classes are pinned with the counters,
//! so that a later process with other classes can name what was counted.

use std::net::IpAddr;
use std::sync::Arc;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, MapData};
use trafcalc_common::maps::CLASS_NAME_BYTES;

use super::programs::Programs;
use super::tables::{take, unreadable};
use crate::capture::{CaptureError, Class, Classes};

const NAMES: &str = "CLASS_NAMES";

/// The sizes of the maps.
pub(super) fn entries(classes: &Classes) -> [(&'static str, u32); 3] {
    let of = |is_v4: bool| classes.networks().filter(|(network, _)| network.address().is_ipv4() == is_v4).count();
    let size = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).max(1);
    [("CLASSES_V4", size(of(true))), ("CLASSES_V6", size(of(false))), (NAMES, size(classes.0.len()))]
}

/// Fills the maps.
pub(super) fn fill(programs: &mut Programs, classes: &Classes) -> Result<(), CaptureError> {
    if classes.is_empty() {
        return Ok(());
    }
    let mut names: Array<_, [u8; CLASS_NAME_BYTES]> = take(programs, NAMES)?;
    for (place, Class { name, .. }) in (0..).zip(&classes.0) {
        names.set(place, padded(name), 0).map_err(|error| unreadable(&error))?;
    }
    let mut v4: LpmTrie<_, u32, u32> = take(programs, "CLASSES_V4")?;
    let mut v6: LpmTrie<_, [u32; 4], u32> = take(programs, "CLASSES_V6")?;
    for (network, number) in classes.networks() {
        let bits = u32::from(network.bits());
        // The bytes of an address, in network order.
        let inserted = match network.address() {
            IpAddr::V4(address) => v4.insert(&Key::new(bits, u32::from_ne_bytes(address.octets())), number, 0),
            IpAddr::V6(address) => v6.insert(&Key::new(bits, words(address.octets())), number, 0),
        };
        inserted.map_err(|error| unreadable(&error))?;
    }
    Ok(())
}

fn words(octets: [u8; 16]) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(octets.as_chunks::<4>().0) {
        *word = u32::from_ne_bytes(*bytes);
    }
    words
}

/// A name, padded as the map stores it.
fn padded(name: &str) -> [u8; CLASS_NAME_BYTES] {
    let mut padded = [0; CLASS_NAME_BYTES];
    let kept = name.len().min(CLASS_NAME_BYTES);
    padded[..kept].copy_from_slice(&name.as_bytes()[..kept]);
    padded
}

/// The names of the classes that programs were loaded with.
#[derive(Clone)]
pub(super) struct ClassNames(Classes);

impl ClassNames {
    /// The names of programs that were loaded with these classes.
    pub(super) fn told(classes: &Classes) -> Self {
        Self(classes.clone())
    }

    /// The names that the programs of a former process were loaded with.
    pub(super) fn of_former(programs: &mut Programs) -> Result<Self, CaptureError> {
        let names: Array<MapData, [u8; CLASS_NAME_BYTES]> = take(programs, NAMES)?;
        let mut classes = Vec::new();
        for bytes in names.iter() {
            let bytes = bytes.map_err(|error| unreadable(&error))?;
            let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(CLASS_NAME_BYTES);
            if length > 0 {
                classes.push(Class { name: String::from_utf8_lossy(&bytes[..length]).into(), networks: Vec::new() });
            }
        }
        Ok(Self(Classes(classes)))
    }

    /// The class with this number; `None` where accounts are not told apart by class.
    pub(super) fn name(&self, number: u32) -> Option<Arc<str>> {
        self.0.name(number)
    }
}
