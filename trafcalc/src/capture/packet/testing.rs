//! Packets for tests: described by their fields, written as the kernel would.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::MIN_RING_BYTES;
use super::segment::{Direction, Endpoints, Segment};
use crate::capture::{Belonging, By, EbpfSettings, PacketSettings, Settings, Wanted};

/// A TCP segment in IPv4 or IPv6, with as many options and extension headers as asked for.
#[derive(Clone, Debug)]
pub(super) struct PacketSpec {
    pub(super) ipv6: bool,
    /// IPv4: 4-byte words of options.
    pub(super) ip_option_words: u8,
    /// IPv6: kinds of extension headers.
    pub(super) extensions: Vec<u8>,
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
    pub(super) fn has_unusual_headers(&self) -> bool {
        self.ipv6 && !matches!(self.extensions[..], [] | [0])
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

    fn in_ipv6(&self, tcp: Vec<u8>) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x60;
        packet[8] = 0xfd;
        packet[23] = 1;
        packet[24] = 0xfd;
        packet[39] = 2;
        let kinds: Vec<u8> = self.extensions.iter().copied().chain([6]).collect();
        packet[6] = kinds[0];
        for next in kinds.windows(2) {
            // Authentication counts its length in other units than the rest; 8 bytes suit them all.
            packet.extend([next[1], 0, 0, 0, 0, 0, 0, 0]);
        }
        packet.extend(tcp);
        let payload = u16::try_from(packet.len() - 40).unwrap();
        packet[4..6].copy_from_slice(&payload.to_be_bytes());
        packet
    }
}

impl Arbitrary for PacketSpec {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let extension = prop_oneof![Just(0_u8), Just(43), Just(44), Just(51), Just(60)];
        (
            any::<bool>(),
            0..=10_u8,
            prop_oneof![3 => Just(Vec::new()), 2 => Just(vec![0]), 1 => prop::collection::vec(extension, 1..4)],
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

/// An outgoing segment without flags but ACK.
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

/// All of one's settings: everything is counted, by user.
pub(super) fn capture_settings() -> Settings {
    Settings {
        backend: None,
        attach: None,
        loopback: false,
        by: By::USER,
        wanted: Wanted::default(),
        belonging: Belonging::Socket,
        subordinates: Vec::new(),
        former: None,
        open: Vec::new(),
        ebpf: EbpfSettings::default(),
        packet: settings(),
    }
}
