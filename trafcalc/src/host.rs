//! Which host this is, among many.

use std::fs;
use std::io;
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// machine-id(5).
const MACHINE_ID: &str = "/etc/machine-id";
/// The application id of trafcalc, for `sd_id128_get_machine_app_specific(3)`.
const APPLICATION: [u8; 16] = 0x7c1f_9a52_d0b4_4e86_a3c7_5b1e_0f62_8d94_u128.to_be_bytes();

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Identifies it. Stays the same if the host is renamed.
    pub id: String,
    /// Its name, for readers.
    pub name: String,
}

impl Host {
    /// This host, with the given id, or else with a hash of the machine id, which itself must not leave the host.
    pub fn this(id: Option<&str>) -> io::Result<Self> {
        let id = match id {
            Some(id) => id.to_owned(),
            None => of_machine(&fs::read_to_string(Path::new(MACHINE_ID))?)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not 32 hexadecimal digits"))?,
        };
        let name = nix::unistd::gethostname()?.to_string_lossy().into_owned();
        Ok(Self { id, name })
    }

    /// A number that differs between hosts, so that they do not all do something at the same moment.
    pub fn spread(&self) -> u64 {
        self.id.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
    }
}

/// The id that `sd_id128_get_machine_app_specific(3)` makes of a machine id.
fn of_machine(text: &str) -> Option<String> {
    let text = text.trim_end();
    let machine = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?.to_be_bytes();
    let mut hash = Hmac::<Sha256>::new_from_slice(&machine).ok()?;
    hash.update(&APPLICATION);
    let mut id: [u8; 16] = hash.finalize().into_bytes().first_chunk().copied()?;
    // RFC 9562: version 4, variant 1.
    id[6] = (id[6] & 0x0f) | 0x40;
    id[8] = (id[8] & 0x3f) | 0x80;
    Some(format!("{:032x}", u128::from_be_bytes(id)))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_id_is_the_one_that_systemd_makes() {
        let application = format!("{:032x}", u128::from_be_bytes(APPLICATION));
        let asked = Command::new("systemd-id128").args(["machine-id", "--app-specific", &application]).output();
        // Not every host has systemd, or a machine id.
        let (Ok(asked), Ok(machine)) = (asked, fs::read_to_string(MACHINE_ID)) else { return };
        if asked.status.success() {
            assert_eq!(of_machine(&machine).unwrap(), String::from_utf8(asked.stdout).unwrap().trim());
        }
    }

    #[test]
    fn the_id_does_not_change_with_versions() {
        let id = of_machine("0123456789abcdef0123456789abcdef\n").unwrap();
        assert_eq!(id.len(), 32);
        assert_ne!(id, of_machine("0123456789abcdef0123456789abcdee").unwrap());
        for text in ["", "uninitialized", "0123", "0123456789abcdef0123456789abcdefff"] {
            assert_eq!(of_machine(text), None, "{text}");
        }
    }
}
