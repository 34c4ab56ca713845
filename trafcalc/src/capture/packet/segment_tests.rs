use proptest::prelude::*;

use super::super::network::{ETHERTYPE_MPLS, IPV4, IPV6, ROUTING, without_labels};
use super::super::testing::{Extension, PacketSpec};
use super::*;

fn parse_whole(packet: &[u8]) -> Result<Segment, NotASegment> {
    parse(packet, u32::try_from(packet.len()).unwrap(), Direction::Outgoing)
}

proptest! {
    #[test]
    fn what_was_written_is_read(spec: PacketSpec) {
        let segment = parse_whole(&spec.bytes()).unwrap();
        prop_assert_eq!(segment.seq, spec.seq);
        prop_assert_eq!(segment.ack, (spec.flags & 0x10 != 0).then_some(spec.ack));
        prop_assert_eq!(segment.payload_bytes, u32::from(spec.payload_bytes));
        prop_assert_eq!((segment.syn, segment.fin), (spec.flags & 2 != 0, spec.flags & 1 != 0));
        prop_assert_eq!((segment.endpoints.local_port, segment.endpoints.remote_port), (50_000, 443));
        let is_ipv4 = !spec.ipv6 || spec.extensions.last() == Some(&Extension(IPV4, 0));
        let (local, remote) = if is_ipv4 { ("::ffff:10.0.0.1", "::ffff:10.0.0.2") } else { ("fd00::1", "fd00::2") };
        let Endpoints { local: found_local, remote: found_remote, .. } = segment.endpoints;
        prop_assert_eq!((found_local, found_remote), (local.parse().unwrap(), remote.parse().unwrap()));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), length: u32) {
        for direction in [Direction::Outgoing, Direction::Incoming] {
            if let Ok(segment) = parse(&bytes, length, direction) {
                prop_assert!(segment.payload_bytes <= length.max(65_575));
            }
        }
    }

    #[test]
    fn a_damaged_segment_is_no_panic_and_never_longer_than_its_packet(
        spec: PacketSpec, at: prop::sample::Index, value: u8, cut: prop::sample::Index,
    ) {
        let mut packet = spec.bytes();
        let length = packet.len();
        packet[at.index(length)] = value;
        packet.truncate(cut.index(length + 1));
        if let Ok(segment) = parse(&packet, u32::try_from(length).unwrap(), Direction::Incoming) {
            prop_assert!((segment.payload_bytes as usize) < length);
        }
    }
}

#[test]
fn link_layer_padding_is_no_payload() {
    let mut packet = PacketSpec { payload_bytes: 0, ..PacketSpec::default() }.bytes();
    packet.resize(46, 0);
    assert_eq!(parse_whole(&packet).unwrap().payload_bytes, 0);
}

#[test]
fn big_tcp_takes_its_length_from_the_kernel() {
    for ipv6 in [false, true] {
        let extensions = if ipv6 { vec![Extension(0, 0)] } else { Vec::new() };
        let mut packet = PacketSpec { ipv6, extensions, payload_bytes: 0, ..PacketSpec::default() }.bytes();
        let headers = u32::try_from(packet.len()).unwrap();
        let length_field = if ipv6 { 4..6 } else { 2..4 };
        packet[length_field].fill(0);
        let segment = parse(&packet, headers + 180_000, Direction::Outgoing).unwrap();
        assert_eq!(segment.payload_bytes, 180_000);
    }
}

#[test]
fn a_length_beyond_the_packet_is_malformed() {
    let mut packet = PacketSpec::default().bytes();
    packet[2..4].copy_from_slice(&9000_u16.to_be_bytes());
    assert_eq!(parse_whole(&packet), Err(NotASegment::Malformed));
}

#[test]
fn later_fragments_are_not_segments_and_first_ones_have_no_fin() {
    let mut packet = PacketSpec { flags: 0x11, ..PacketSpec::default() }.bytes();
    packet[6] = 0x20;
    assert!(!parse_whole(&packet).unwrap().fin);
    packet[7] = 0x10;
    assert_eq!(parse_whole(&packet), Err(NotASegment::NotTcp));
}

#[test]
fn incoming_segments_have_their_ends_swapped() {
    let packet = PacketSpec::default().bytes();
    let there = parse_whole(&packet).unwrap().endpoints;
    let here = parse(&packet, u32::try_from(packet.len()).unwrap(), Direction::Incoming).unwrap().endpoints;
    assert_eq!((there.local, there.remote_port), (here.remote, here.local_port));
}

/// A packet to `fd00::63` with a routing header that has room for two addresses.
fn routed(kind: u8, segments_left: u8, detail: [u8; 2], addresses: &[u8]) -> Vec<u8> {
    let spec = PacketSpec { ipv6: true, extensions: vec![Extension(ROUTING, 4)], ..PacketSpec::default() };
    let mut packet = spec.bytes();
    packet[42..44].copy_from_slice(&[kind, segments_left]);
    packet[44..46].copy_from_slice(&detail);
    packet[48..48 + 32].fill(0);
    packet[48..48 + addresses.len()].copy_from_slice(addresses);
    packet
}

#[test]
fn a_routing_header_tells_the_last_stop() {
    let remote = |packet: &[u8]| parse_whole(packet).map(|segment| segment.endpoints.remote.to_string());
    let [first, last]: [Ipv6Addr; 2] = ["fd00::1:1", "fd00::1:2"].map(|address| address.parse().unwrap());
    let in_order = [first.octets(), last.octets()].concat();
    for kind in [0, 2] {
        assert_eq!(remote(&routed(kind, 1, [0, 0], &in_order)), Ok("fd00::1:2".to_owned()), "type {kind}");
    }
    assert_eq!(remote(&routed(4, 1, [0, 0], &in_order)), Ok("fd00::1:1".to_owned()), "in the reverse order");
    // The addresses lack 12 bytes, shared with the destination; 9 bytes of padding follow.
    let shortened = [&[0; 16][..], &[0; 3], &[0x00, 0x05, 0x00, 0x07]].concat();
    assert_eq!(remote(&routed(3, 1, [0xcc, 9 << 4], &shortened)), Ok("fd00::5:7".to_owned()), "compressed");
    assert_eq!(remote(&routed(4, 0, [0, 0], &in_order)), Ok("fd00::63".to_owned()), "it is there");
    assert_eq!(remote(&routed(253, 1, [0, 0], &in_order)), Err(NotASegment::Malformed), "nobody knows where it goes");
    assert_eq!(remote(&routed(3, 1, [0x00, 0xf0], &in_order)), Ok("::100:1fd".to_owned()), "any padding is read");
}

#[test]
fn labels_are_stepped_over_as_far_as_they_are_followed() {
    let whole = PacketSpec::default().bytes();
    let bytes = u32::try_from(whole.len()).unwrap();
    let labelled = |labels: usize| {
        let mut packet = [0, 0, 0, 64].repeat(labels);
        packet[labels * 4 - 2] = 1;
        packet.extend(&whole);
        packet
    };
    for labels in 1..=8 {
        let packet = labelled(labels);
        let seen = bytes + u32::try_from(labels).unwrap() * 4;
        assert_eq!(without_labels(ETHERTYPE_MPLS, &packet, seen), (&whole[..], bytes));
    }
    assert_eq!(without_labels(0x0800, &whole, bytes), (&whole[..], bytes));
    assert!(without_labels(ETHERTYPE_MPLS, &labelled(9), bytes + 36).0.is_empty());
}

#[test]
fn a_segment_inside_another_packet_is_as_long_as_its_own_header_says() {
    let spec =
        PacketSpec { ipv6: true, extensions: vec![Extension(IPV6, 0)], payload_bytes: 10, ..PacketSpec::default() };
    let mut packet = spec.bytes();
    packet[44..46].copy_from_slice(&25_u16.to_be_bytes());
    assert_eq!(parse_whole(&packet).unwrap().payload_bytes, 5);
    packet[44..46].copy_from_slice(&31_u16.to_be_bytes());
    assert_eq!(parse_whole(&packet), Err(NotASegment::Malformed));
}
