//! What could not be counted or attributed, and why. Each number is defined here only; batches, summaries, the status and the table in
//! trafcalc/docs/records.md follow from it.

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, IgnoredAny};
use serde::ser::{Serialize, SerializeMap, Serializer};

macro_rules! health {
    ($($(#[doc = $meaning:literal])+ $field:ident = $name:literal,)+) => {
        /// What could not be counted or attributed, and why. Every number counts from the start of the service.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Health {
            $($(#[doc = $meaning])+ pub $field: u64,)+
        }

        impl Health {
            /// The name of each number in reports.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The number of this name.
            fn number_mut(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $($name => Some(&mut self.$field),)+
                    _ => None,
                }
            }

            /// Each number, by its name in reports.
            pub fn numbers(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($name, self.$field)),+].into_iter()
            }
        }
    };
}

health! {
    /// Bytes credited to [`Owner::OTHER`](super::Owner::OTHER) because a table was full.
    overflow_bytes = "overflow_bytes_total",
    /// Events that the kernel did not deliver. They make no total wrong unless `gaps` says so.
    lost_events = "lost_events_total",
    /// Connections whose totals may be short, because what was lost was not made good when it was reported.
    gaps = "gaps",
    /// Bytes whose owner is still being looked up: in no account yet.
    pending_bytes = "pending_bytes",
    /// Bytes credited to the user of the listening socket, because the connection's own socket was gone.
    listener_bytes = "listener_bytes_total",
    /// Packets that could not be understood.
    malformed_packets = "malformed_packets_total",
    /// Bytes of packets that this host sent and that may have been segments, but could not be read.
    unread_bytes = "unread_bytes_total",
    /// Owner look-ups that were put off because too many were waiting.
    delayed_lookups = "delayed_lookups_total",
    /// Connections older than the service, counted from its start (packet: from the first segment that it saw).
    late_connections = "late_connections_total",
    /// Connections for which a table had no room: ebpf credits them when they end, packet to
    /// [`Owner::OTHER`](super::Owner::OTHER).
    unfollowed_connections = "unfollowed_connections_total",
    /// Bytes credited to the user only, because the process, program or unit that was asked for is not known.
    coarse_bytes = "coarse_bytes_total",
    /// Sequence numbers in a peer's segment that the kernel did not confirm: nothing was credited for them.
    refused_movements = "refused_movements_total",
    /// Connections whose totals were compared with the kernel's, at their end or (packet) before a report.
    audited = "audited_total",
    /// Audited connections for which the kernel's totals differ from what was credited.
    audit_mismatches = "audit_mismatch_total",
}

impl Health {
    /// The names of the numbers that mean wrong totals: short, late, or in another account. The others only describe how the service is
    /// doing, and correct themselves.
    pub const TROUBLES: &'static [&'static str] = &[
        "overflow_bytes_total",
        "gaps",
        "listener_bytes_total",
        "malformed_packets_total",
        "unread_bytes_total",
        "unfollowed_connections_total",
        "coarse_bytes_total",
        "audit_mismatch_total",
    ];
}

impl Serialize for Health {
    /// A map, without numbers that are 0.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, number) in self.numbers().filter(|(_, number)| *number != 0) {
            map.serialize_entry(name, &number)?;
        }
        map.end()
    }
}

/// A number of health, or another field of the same record.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Field {
    Number(u64),
    Other(IgnoredAny),
}

impl<'de> Deserialize<'de> for Health {
    /// Missing numbers are 0; unknown fields are ignored.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut health = Self::default();
        for (name, field) in BTreeMap::<String, Field>::deserialize(deserializer)? {
            if let (Some(place), Field::Number(number)) = (health.number_mut(&name), field) {
                *place = number;
            }
        }
        Ok(health)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut health = Health::default();
        for (name, number) in Health::NAMES.iter().zip(1..) {
            *health.number_mut(name).unwrap() = number;
        }
        let mut text = serde_json::to_value(health).unwrap();
        assert_eq!(Health::NAMES.len(), text.as_object().unwrap().len());
        text["backend"] = "packet".into();
        assert_eq!(serde_json::from_value::<Health>(text).unwrap(), health);
    }

    #[test]
    fn every_trouble_is_a_number_of_health() {
        assert!(Health::TROUBLES.iter().all(|name| Health::NAMES.contains(name)));
    }
}
