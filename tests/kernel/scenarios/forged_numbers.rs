//! A peer lies about where its bytes begin and end: before its true SYN-ACK or FIN, which it sends in fragments too small for a TCP
//! header, comes one with another number and a wrong checksum, which the kernel throws away. Accounts have what was moved.

use anyhow::{Context as _, Result};

use super::{Scenario, Test, run_all, tun};
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::world::{Line, Namespace, TUN, Tamper, World};

pub(super) const SCENARIO: Scenario = Scenario::new("forged_numbers", run).needs(tun::missing);

const BYTES: u64 = 3_000_000;
/// How far a lie is from the truth, in bytes.
const LIE: u32 = 1 << 28;
/// Flags of TCP.
const FIN: u8 = 0x01;
const SYN_ACK: u8 = 0x12;

fn run(test: &Test) -> Result<()> {
    let lies: [(&str, Tamper); 3] = [
        ("a SYN-ACK with a lower number", |packet| forge(packet, SYN_ACK, LIE.wrapping_neg())),
        ("a SYN-ACK with a higher number", |packet| forge(packet, SYN_ACK, LIE)),
        ("a FIN with a higher number", |packet| forge(packet, FIN, LIE)),
    ];
    for (lie, tamper) in lies {
        count(test, tamper).context(lie)?;
    }
    Ok(())
}

/// A client that closes first: its last acknowledgement is all that tells of the server's FIN.
fn count(test: &Test, tamper: Tamper) -> Result<()> {
    let world = World { near: Namespace::new()?, far: Namespace::new()? };
    let _line = Line::tampered(&world.near, &world.far, tamper)?;
    world.near.address(TUN, 0, 1)?;
    world.far.address(TUN, 0, 2)?;
    let counters = test.count(&world)?;
    let client = test.client([send(BYTES, CHUNK), Step::Shut, receive_all()]);
    let server = test.server([receive_all(), send(BYTES, 1_000)]);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth)
}

/// Of a packet with all these flags a lie that is `by` further and the truth in fragments; other packets as they are.
fn forge(packet: &[u8], flags: u8, by: u32) -> Vec<Vec<u8>> {
    let header_bytes = usize::from(packet[0] & 0x0f) * 4;
    let is_tcp = packet[0] >> 4 == 4 && packet[9] == 6 && packet.len() >= header_bytes + 20;
    if !is_tcp || packet[header_bytes + 13] & flags != flags {
        return vec![packet.to_vec()];
    }
    let mut lie = packet.to_vec();
    let seq = &mut lie[header_bytes + 4..header_bytes + 8];
    let forged = u32::from_be_bytes([seq[0], seq[1], seq[2], seq[3]]).wrapping_add(by);
    seq.copy_from_slice(&forged.to_be_bytes());
    // It was right, or was left to the device, before.
    lie[header_bytes + 16] ^= 0x55;
    [lie].into_iter().chain(fragments(packet, header_bytes)).collect()
}

/// The packet in two IP fragments, the first of which has eight bytes of the TCP header.
fn fragments(packet: &[u8], header_bytes: usize) -> [Vec<u8>; 2] {
    const FIRST: usize = 8;
    const MORE_FOLLOW: u16 = 0x2000;
    let (header, segment) = packet.split_at(header_bytes);
    let fragment = |part: &[u8], position: u16| {
        let mut fragment = [header, part].concat();
        let length = u16::try_from(fragment.len()).expect("no longer than the packet");
        fragment[2..4].copy_from_slice(&length.to_be_bytes());
        fragment[6..8].copy_from_slice(&position.to_be_bytes());
        fragment[10..12].fill(0);
        let sum = checksum(&fragment[..header_bytes]);
        fragment[10..12].copy_from_slice(&sum.to_be_bytes());
        fragment
    };
    let (first, rest) = segment.split_at(FIRST);
    [fragment(first, MORE_FOLLOW), fragment(rest, 1)]
}

/// Of a header whose own checksum is 0 (RFC 1071).
fn checksum(header: &[u8]) -> u16 {
    let mut sum: u32 = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}
