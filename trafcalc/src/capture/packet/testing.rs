//! Packets for tests: described by their fields, written as the kernel would.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::MIN_RING_BYTES;
use super::flows::{Flows, Sighting};
use super::network::{AUTHENTICATION, FRAGMENT, IPV4, IPV6, PROTOCOL_TCP, ROUTING};
use super::segment::{Direction, Endpoints, Segment};
use super::timeline::{Event, Timeline};
use crate::capture::{By, Classes, CreditTo, EbpfSettings, OpenNotes, PacketSettings, Settings, Wanted};

/// An extension header or another IP header: its kind, and the extension header's units of 8 bytes after the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extension(pub(super) u8, pub(super) u8);

/// A TCP segment in IPv4 or IPv6, with as many options and extension headers as asked for.
#[derive(Clone, Debug)]
pub(super) struct PacketSpec {
    pub(super) ipv6: bool,
    /// IPv4: 4-byte words of options.
    pub(super) ip_option_words: u8,
    /// IPv6: what comes between its header and the TCP header.
    pub(super) extensions: Vec<Extension>,
    pub(super) tcp_option_words: u8,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    pub(super) payload_bytes: u16,
}

impl Default for PacketSpec {
    fn default() -> Self {
        Self {
            ipv6: false,
            ip_option_words: 0,
            extensions: Vec::new(),
            tcp_option_words: 0,
            seq: 1000,
            ack: 2000,
            flags: 0x10,
            payload_bytes: 100,
        }
    }
}

impl PacketSpec {
    /// Where its TCP header begins.
    pub(super) fn tcp_offset(&self) -> usize {
        self.bytes().len() - usize::from(self.payload_bytes) - usize::from(5 + self.tcp_option_words) * 4
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(50_000_u16.to_be_bytes());
        tcp.extend(443_u16.to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([(5 + self.tcp_option_words) << 4, self.flags, 0, 0, 0, 0, 0, 0]);
        tcp.resize(tcp.len() + usize::from(self.tcp_option_words) * 4 + usize::from(self.payload_bytes), 1);
        if self.ipv6 { self.in_ipv6(tcp) } else { self.in_ipv4(tcp) }
    }

    fn in_ipv4(&self, tcp: Vec<u8>) -> Vec<u8> {
        let header_bytes = 20 + usize::from(self.ip_option_words) * 4;
        let mut packet = vec![0; header_bytes];
        packet[0] = 0x45 + self.ip_option_words;
        packet[2..4].copy_from_slice(&u16::try_from(header_bytes + tcp.len()).unwrap().to_be_bytes());
        packet[9] = 6;
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(tcp);
        packet
    }

    /// Written from the inside out. A routing header with room for an address adds a stop before the destination.
    fn in_ipv6(&self, tcp: Vec<u8>) -> Vec<u8> {
        let (mut packet, mut next, mut destination) = (tcp, PROTOCOL_TCP, 2);
        for &Extension(kind, units) in self.extensions.iter().rev() {
            let mut header = vec![0; 8 + usize::from(units) * 8];
            header[..2].copy_from_slice(&[next, units]);
            match kind {
                ROUTING if units >= 2 => {
                    header[2..4].copy_from_slice(&[4, 1]);
                    header[8..24].copy_from_slice(&address(destination).octets());
                    destination = 99;
                }
                AUTHENTICATION => header[1] = units * 2,
                IPV6 => {
                    header = ipv6_header(next, destination, packet.len());
                    destination = 77;
                }
                IPV4 => {
                    packet = self.in_ipv4(packet);
                    header.clear();
                }
                _ => {}
            }
            header.append(&mut packet);
            (packet, next) = (header, kind);
        }
        let mut whole = ipv6_header(next, destination, packet.len());
        whole.append(&mut packet);
        whole
    }
}

/// Host 1 sends to host 2.
fn address(host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host)
}

fn ipv6_header(next: u8, destination: u16, payload_bytes: usize) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(u16::try_from(payload_bytes).unwrap().to_be_bytes());
    header.extend([next, 64]);
    header.extend(address(1).octets());
    header.extend(address(destination).octets());
    header
}

impl Arbitrary for PacketSpec {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let kind = prop_oneof![Just(0_u8), Just(43), Just(44), Just(51), Just(60), Just(41)];
        let units = prop_oneof![4 => 0..=3_u8, 2 => Just(14), 1 => Just(127)];
        // A fragment header has a fixed length.
        let extension =
            (kind, units).prop_map(|(kind, units)| Extension(kind, if kind == FRAGMENT { 0 } else { units }));
        let several =
            (prop::collection::vec(extension, 1..5), prop::bool::weighted(0.2)).prop_map(|(mut all, in_ipv4)| {
                all.extend(in_ipv4.then_some(Extension(IPV4, 0)));
                all
            });
        (
            any::<bool>(),
            0..=10_u8,
            prop_oneof![3 => Just(Vec::new()), 1 => Just(vec![Extension(0, 0)]), 3 => several],
            0..=10_u8,
            any::<(u32, u32)>(),
            prop_oneof![Just(0x10_u8), Just(0x18), Just(0x02), Just(0x12), Just(0x11), Just(0x04), Just(0x14)],
            0..3000_u16,
        )
            .prop_map(|(ipv6, ip_option_words, extensions, tcp_option_words, (seq, ack), flags, payload_bytes)| Self {
                ipv6,
                ip_option_words,
                extensions,
                tcp_option_words,
                seq,
                ack,
                flags,
                payload_bytes,
            })
            .boxed()
    }
}

/// An outgoing segment with no flag but ACK.
pub(super) fn segment(seq: u32, ack: u32, payload_bytes: u32) -> Segment {
    Segment {
        endpoints: Endpoints {
            local: Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped(),
            remote: Ipv4Addr::new(10, 0, 0, 2).to_ipv6_mapped(),
            local_port: 50_000,
            remote_port: 443,
        },
        direction: Direction::Outgoing,
        seq,
        ack: Some(ack),
        syn: false,
        fin: false,
        rst: false,
        payload_bytes,
    }
}

/// A segment and when it passed, in nanoseconds of the wall clock.
pub(super) type Timed = (u64, Segment);

pub(super) const fn sighting((time_ns, segment): Timed) -> Sighting {
    Sighting { segment, time_ns, interface: 2 }
}

/// Shows `flows` what is in the two rings, like the reader when the bulk ring is far behind: all anchors were read before.
pub(super) fn show_rings(flows: &mut Flows, anchors: &[Timed], bulk: &[Timed]) {
    let mut timeline = Timeline::default();
    for anchor in anchors {
        timeline.hold(sighting(*anchor));
    }
    let take = |flows: &mut Flows, event: Event| flows.take(&event, 5_000);
    for segment in bulk {
        timeline.release(segment.0, |event| take(flows, event));
        flows.observe(&sighting(*segment), 5_000);
    }
    timeline.release(u64::MAX, |event| take(flows, event));
}

/// Small tables, every interface, nothing broken.
pub(super) fn settings() -> PacketSettings {
    PacketSettings {
        interfaces: Vec::new(),
        ring_bytes: MIN_RING_BYTES,
        max_connections: 16,
        test_drop_percent: 0,
        test_stall_ms: 0,
        test_lose_fins: false,
    }
}

/// Complete settings: everything is counted, by user.
pub(super) fn capture_settings() -> Settings {
    Settings {
        backend: None,
        attach: None,
        loopback: false,
        by: By::USER,
        classes: Classes::default(),
        wanted: Wanted::default(),
        credit_to: CreditTo::Socket,
        subordinates: Vec::new(),
        former: None,
        open: OpenNotes::default(),
        ebpf: EbpfSettings::default(),
        packet: settings(),
    }
}
