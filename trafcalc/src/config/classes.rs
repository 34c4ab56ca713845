//! `[[class]]` of the configuration file.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::{Deserialize, Deserializer, Error as _};
use trafcalc_common::maps::{CLASS_NAME_BYTES, MAX_CLASSES};

use super::value;
use crate::capture::{Class, Classes, Network, REST};

/// Most networks in all classes: each takes 64 bytes of kernel memory.
const MAX_NETWORKS: usize = 16_384;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    name: String,
    #[serde(deserialize_with = "value::texts")]
    networks: Vec<Network>,
    #[serde(default = "yes")]
    billed: bool,
}

const fn yes() -> bool {
    true
}

/// The classes in the file.
#[derive(Default)]
pub(super) struct Written {
    pub(super) classes: Classes,
    /// The names of classes that are not billed.
    pub(super) unbilled: Vec<String>,
}

/// Reads the classes, and checks that names and networks are unique.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Written, D::Error> {
    let sections = Vec::<Section>::deserialize(deserializer)?;
    check(&sections).map_err(D::Error::custom)?;
    let unbilled = sections.iter().filter(|section| !section.billed).map(|section| section.name.clone()).collect();
    let class = |Section { name, networks, .. }: Section| Class { name: name.into(), networks };
    Ok(Written { classes: Classes(sections.into_iter().map(class).collect()), unbilled })
}

fn check(sections: &[Section]) -> Result<(), String> {
    if sections.len() > MAX_CLASSES {
        return Err(format!("{} classes are more than the {MAX_CLASSES} there may be", sections.len()));
    }
    let (mut names, mut networks) = (BTreeSet::new(), BTreeMap::new());
    for section in sections {
        let name = &section.name;
        if !is_name(name) {
            return Err(format!(
                "{name:?} is no name of a class: 1 to {CLASS_NAME_BYTES} letters, digits, '-', '_' or '.'"
            ));
        }
        if name == REST {
            return Err(format!("{REST:?} is what is in no class that is named"));
        }
        if !names.insert(name) {
            return Err(format!("there are two classes {name:?}"));
        }
        for network in &section.networks {
            if let Some(other) = networks.insert(*network, name) {
                return Err(format!("{network} is in the classes {other:?} and {name:?}"));
            }
        }
    }
    if networks.len() > MAX_NETWORKS {
        return Err(format!("{} networks are more than the {MAX_NETWORKS} there may be", networks.len()));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    (1..=CLASS_NAME_BYTES).contains(&name.len()) && name.chars().all(is_allowed)
}
