use proptest::prelude::*;

use super::super::testing::PacketSpec;
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
        let extensions = if ipv6 { vec![0] } else { Vec::new() };
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
