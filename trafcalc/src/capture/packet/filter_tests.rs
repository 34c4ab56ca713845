use proptest::prelude::*;

use super::super::segment::{Direction, parse};
use super::super::testing::{Extension, PacketSpec};
use super::*;

const LOOPBACK_TOO: Scope =
    Scope { loopback: true, interfaces: Vec::new(), newest: u32::MAX, drop_percent: 0, lose_fins: false };

/// A classic BPF machine for the instructions that the filters use; `None` is a load beyond the packet's end.
fn run(program: &[sock_filter], packet: &[u8], ancillary: &dyn Fn(i32) -> u32) -> Option<u32> {
    let (mut a, mut x, mut at, mut kind) = (0_u32, 0_u32, 0_usize, 0_u32);
    let load = |offset: u32, bytes: usize| -> Option<u32> {
        let field = packet.get(offset as usize..offset as usize + bytes)?;
        Some(field.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    };
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        let branch = |taken: bool| usize::from(if taken { jt } else { jf });
        at += 1;
        match u32::from(code) {
            0x20 if k >= libc::SKF_AD_OFF.cast_unsigned() => {
                a = ancillary(k.cast_signed() - libc::SKF_AD_OFF);
            }
            0x28 => a = load(k, 2)?,
            0x30 => a = load(k, 1)?,
            0x40 => a = load(x + k, 4)?,
            0x48 => a = load(x + k, 2)?,
            0x50 => a = load(x + k, 1)?,
            0x00 => a = k,
            0x60 => a = kind,
            0x02 => kind = a,
            0x80 => a = u32::try_from(packet.len()).unwrap(),
            0x01 => x = k,
            0xb1 => x = (load(k, 1)? & 0xf) * 4,
            0x07 => x = a,
            0x87 => a = x,
            0x04 => a += k,
            0x0c => a += x,
            0x1c => a -= x,
            0x54 => a &= k,
            0x64 => a <<= k,
            0x94 => a %= k,
            0x05 => at += k as usize,
            0x15 => at += branch(a == k),
            0x25 => at += branch(a > k),
            0x35 => at += branch(a >= k),
            0x3d => at += branch(a >= x),
            0x45 => at += branch(a & k != 0),
            0x06 => return Some(k),
            0x16 => return Some(a),
            other => panic!("instruction {other:#x} is not known"),
        }
    }
}

fn passes(program: &[sock_filter], packet: &[u8], outgoing: bool) -> bool {
    kept(program, packet, outgoing) > 0
}

/// How much of a packet is kept.
fn kept(program: &[sock_filter], packet: &[u8], outgoing: bool) -> usize {
    let ethertype = match packet[0] >> 4 {
        4 => ETHERTYPE_IPV4,
        6 => ETHERTYPE_IPV6,
        _ => u32::from(ETHERTYPE_MPLS),
    };
    let ancillary = |field| match field {
        libc::SKF_AD_PKTTYPE => u32::from(outgoing) * PACKET_OUTGOING,
        libc::SKF_AD_PROTOCOL => ethertype,
        libc::SKF_AD_HATYPE => 1,
        libc::SKF_AD_IFINDEX => 7,
        _ => 0,
    };
    packet.len().min(run(program, packet, &ancillary).unwrap_or(0) as usize)
}

/// Whether the flags are too far away for the anchor ring.
fn is_deep(spec: &PacketSpec) -> bool {
    spec.tcp_offset() + 14 > ANCHOR_BYTES as usize
}

proptest! {
    #[test]
    fn every_outgoing_segment_goes_to_exactly_one_ring(spec: PacketSpec) {
        let packet = spec.bytes();
        let is_bulk = passes(&bulk(&LOOPBACK_TOO), &packet, true);
        let is_anchor = passes(&anchors(&LOOPBACK_TOO), &packet, true);
        prop_assert!(is_bulk != is_anchor);
    }

    #[test]
    fn of_incoming_segments_only_syn_fin_rst_are_kept(spec: PacketSpec) {
        let packet = spec.bytes();
        let is_control = spec.flags & 0x07 != 0;
        prop_assert_eq!(passes(&bulk(&LOOPBACK_TOO), &packet, false), is_control && is_deep(&spec));
        prop_assert!(!passes(&beginnings_and_ends(&LOOPBACK_TOO), &packet, false));
        prop_assert_eq!(passes(&anchors(&LOOPBACK_TOO), &packet, false), is_control && !is_deep(&spec));
    }

    #[test]
    fn what_is_kept_survives_the_snap(spec: PacketSpec) {
        let packet = spec.bytes();
        let length = u32::try_from(packet.len()).unwrap();
        let whole = parse(&packet, length, Direction::Outgoing);
        let [bulk, anchors, repeated] =
            [bulk, anchors, beginnings_and_ends].map(|filter| kept(&filter(&LOOPBACK_TOO), &packet, true));
        prop_assert!(anchors <= ANCHOR_BYTES as usize);
        prop_assert_eq!(parse(&packet[..bulk.max(anchors)], length, Direction::Outgoing), whole);
        if spec.flags & 7 != 0 {
            prop_assert_eq!(parse(&packet[..repeated], length, Direction::Outgoing), whole);
        }
    }

    #[test]
    fn of_a_packet_that_ends_within_its_headers_only_what_this_host_sends_is_kept(
        spec: PacketSpec, cut: prop::sample::Index,
    ) {
        let spec = PacketSpec { ipv6: true, ..spec };
        let mut packet = spec.bytes();
        packet.truncate(40 + cut.index(spec.tcp_offset() + 14 - 40));
        let is_fragment = !spec.extensions.is_empty();
        prop_assert_eq!(passes(&bulk(&LOOPBACK_TOO), &packet, true), is_fragment);
        prop_assert!(!passes(&anchors(&LOOPBACK_TOO), &packet, true));
        prop_assert!(!passes(&bulk(&LOOPBACK_TOO), &packet, false) && !passes(&anchors(&LOOPBACK_TOO), &packet, false));
    }

    #[test]
    fn a_connection_reaches_the_anchors_at_least_every_2_gib(start: u32, step in 20_000_u32..=524_288) {
        let program = anchors(&LOOPBACK_TOO);
        let mut seq = start;
        let mut unseen = 0_u64;
        while unseen < 1 << 31 {
            let packet = PacketSpec { seq, ack: 0x0fff_ffff, flags: 0x10, ..PacketSpec::default() }.bytes();
            if passes(&program, &packet, true) {
                return Ok(());
            }
            seq = seq.wrapping_add(step);
            unseen += u64::from(step);
        }
        prop_assert!(false, "2 GiB went by unseen");
    }
}

#[test]
fn loopback_and_other_interfaces_are_left_out() {
    let packet = PacketSpec { flags: 0x10, ..PacketSpec::default() }.bytes();
    let on = |scope: &Scope, hardware: u32, index: u32| {
        let ancillary = |field| match field {
            libc::SKF_AD_PKTTYPE => PACKET_OUTGOING,
            libc::SKF_AD_PROTOCOL => ETHERTYPE_IPV4,
            libc::SKF_AD_HATYPE => hardware,
            libc::SKF_AD_IFINDEX => index,
            _ => 0,
        };
        run(&anchors(scope), &packet, &ancillary).unwrap_or(0) > 0
            || run(&bulk(scope), &packet, &ancillary).unwrap_or(0) > 0
    };
    let everything = Scope { loopback: false, ..LOOPBACK_TOO };
    assert!(!on(&everything, HARDWARE_LOOPBACK, 1));
    assert!(on(&LOOPBACK_TOO, HARDWARE_LOOPBACK, 1));
    assert!(on(&everything, 1, 2));
    let two = Scope { interfaces: vec![2, 5], ..everything };
    assert!(on(&two, 1, 2) && on(&two, 1, 5) && !on(&two, 1, 3));
    let two = Scope { newest: 6, ..two };
    assert!(!on(&two, 1, 6) && on(&two, 1, 7), "only user space knows the name of a newer one");
}

#[test]
fn other_protocols_are_dropped() {
    let mut udp = PacketSpec::default().bytes();
    udp[9] = 17;
    for program in [bulk(&LOOPBACK_TOO), anchors(&LOOPBACK_TOO), beginnings_and_ends(&LOOPBACK_TOO)] {
        assert!(!passes(&program, &udp, true));
        let arp =
            run(&program, &[0; 28], &|field| if field == libc::SKF_AD_PROTOCOL { 0x0806 } else { PACKET_OUTGOING });
        assert_eq!(arp, Some(0));
    }
}

#[test]
fn labels_are_stepped_over() {
    for (ipv6, extensions) in [(false, vec![]), (true, vec![]), (true, vec![Extension(43, 4)])] {
        let spec = PacketSpec { ipv6, extensions, flags: 0x02, ..PacketSpec::default() };
        for labels in 1..=9_usize {
            let mut packet = [0, 0, 0, 64].repeat(labels);
            packet[labels * 4 - 2] = 1;
            packet.extend(spec.bytes());
            let is_followed = labels <= 8;
            assert_eq!(passes(&anchors(&LOOPBACK_TOO), &packet, true), is_followed);
            assert_eq!(passes(&beginnings_and_ends(&LOOPBACK_TOO), &packet, true), is_followed);
            assert!(!passes(&bulk(&LOOPBACK_TOO), &packet, false));
        }
    }
}

#[test]
fn the_kernel_takes_filters_of_this_length() {
    // 64 names of interfaces take 2 instructions each.
    for filter in [bulk, anchors, beginnings_and_ends] {
        let length = filter(&LOOPBACK_TOO).len();
        assert!(length < 360, "{length}");
    }
}
