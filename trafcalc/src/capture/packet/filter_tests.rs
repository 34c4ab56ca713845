use proptest::prelude::*;

use super::super::segment::{Direction, parse};
use super::super::testing::PacketSpec;
use super::*;

const LOOPBACK_TOO: Scope = Scope { loopback: true, interfaces: Vec::new(), drop_percent: 0, lose_fins: false };

/// A classic BPF machine for the instructions that the filters use; `None` is a load beyond the packet's end.
fn run(program: &[sock_filter], packet: &[u8], ancillary: &dyn Fn(i32) -> u32) -> Option<u32> {
    let (mut a, mut x, mut at) = (0_u32, 0_u32, 0_usize);
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
            0x50 => a = load(x + k, 1)?,
            0x01 => x = k,
            0xb1 => x = (load(k, 1)? & 0xf) * 4,
            0x07 => x = a,
            0x04 => a += k,
            0x54 => a &= k,
            0x64 => a <<= k,
            0x94 => a %= k,
            0x05 => at += k as usize,
            0x15 => at += branch(a == k),
            0x35 => at += branch(a >= k),
            0x45 => at += branch(a & k != 0),
            0x06 => return Some(k),
            other => panic!("instruction {other:#x} is not known"),
        }
    }
}

fn passes(program: &[sock_filter], packet: &[u8], outgoing: bool) -> bool {
    let ethertype = if packet[0] >> 4 == 4 { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
    let ancillary = |field| match field {
        libc::SKF_AD_PKTTYPE => u32::from(outgoing) * PACKET_OUTGOING,
        libc::SKF_AD_PROTOCOL => ethertype,
        libc::SKF_AD_HATYPE => 1,
        libc::SKF_AD_IFINDEX => 7,
        _ => 0,
    };
    run(program, packet, &ancillary).unwrap_or(0) > 0
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
        prop_assert!(!passes(&bulk(&LOOPBACK_TOO), &packet, false));
        prop_assert!(!passes(&openings(&LOOPBACK_TOO), &packet, false));
        let control = spec.flags & 0x07 != 0 || spec.has_unusual_headers();
        prop_assert_eq!(passes(&anchors(&LOOPBACK_TOO), &packet, false), control);
    }

    #[test]
    fn what_is_kept_survives_the_snap(spec: PacketSpec) {
        let packet = spec.bytes();
        let whole = parse(&packet, u32::try_from(packet.len()).unwrap(), Direction::Outgoing);
        let snapped = &packet[..packet.len().min(SNAP_BYTES as usize)];
        prop_assert_eq!(parse(snapped, u32::try_from(packet.len()).unwrap(), Direction::Outgoing), whole);
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
}

#[test]
fn other_protocols_are_dropped() {
    let mut udp = PacketSpec::default().bytes();
    udp[9] = 17;
    for program in [bulk(&LOOPBACK_TOO), anchors(&LOOPBACK_TOO), openings(&LOOPBACK_TOO)] {
        assert!(!passes(&program, &udp, true));
        let arp =
            run(&program, &[0; 28], &|field| if field == libc::SKF_AD_PROTOCOL { 0x0806 } else { PACKET_OUTGOING });
        assert_eq!(arp, Some(0));
    }
}
