//! Where in a captured packet the TCP header begins, and which addresses it passes between: walks labels, IP headers, their extensions, and
//! IP in IPv6. Pure; trusts nothing.
//!
//! A socket can send any extension header, and a route can put more around its segments (`ip route … encap`). The filters of the rings walk
//! the same kinds of headers.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::segment::NotASegment;

/// Headers walked after the first IPv6 header; the last one may be an IPv4 header. RFC 8200, section 4.1 recommends at most seven extension
/// headers; a route may put another IPv6 header with some of its own in front.
const MAX_HEADERS: u32 = 10;
/// MPLS labels walked. The kernel adds up to 30 (`MAX_NEW_LABELS`), but networks use a few.
pub const MAX_LABELS: u32 = 8;
/// `ETH_P_MPLS_UC` of the kernel, which is not in every libc.
pub const ETHERTYPE_MPLS: u16 = 0x8847;

pub const PROTOCOL_TCP: u8 = 6;
pub const IPV4: u8 = 4;
pub const IPV6: u8 = 41;
pub const HOP_BY_HOP: u8 = 0;
pub const ROUTING: u8 = 43;
pub const FRAGMENT: u8 = 44;
pub const AUTHENTICATION: u8 = 51;
pub const DESTINATION_OPTIONS: u8 = 60;

/// What the network layer says about a segment.
pub struct Ip {
    pub source: Ipv6Addr,
    /// The final destination, after all stops on the way.
    pub destination: Ipv6Addr,
    pub tcp_offset: usize,
    /// TCP header and payload.
    pub tcp_bytes: u32,
    /// More fragments follow.
    pub is_fragment: bool,
}

/// The packet after its MPLS labels, if its `ethertype` says that it has some, and its length without them.
#[must_use]
pub fn without_labels(ethertype: u16, packet: &[u8], packet_bytes: u32) -> (&[u8], u32) {
    if ethertype != ETHERTYPE_MPLS {
        return (packet, packet_bytes);
    }
    let mut labels = (1..=MAX_LABELS).zip(packet.chunks_exact(4));
    match labels.find(|(_, label)| label[2] & 1 != 0) {
        Some((labels, _)) => (&packet[labels as usize * 4..], packet_bytes.saturating_sub(labels * 4)),
        None => (&[], packet_bytes),
    }
}

/// Finds the TCP header in the packet that begins at its network header and was `packet_bytes` long.
///
/// # Errors
/// What is wrong with it.
pub fn locate_tcp(packet: &[u8], packet_bytes: u32) -> Result<Ip, NotASegment> {
    match byte_at(packet, 0)? >> 4 {
        4 => parse_ipv4(packet, 0, packet_bytes),
        6 => parse_ipv6(packet, packet_bytes),
        _ => Err(NotASegment::NotTcp),
    }
}

/// The source and destination of a packet, by its first IP header.
#[must_use]
pub fn ends(packet: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr)> {
    match packet.first()? >> 4 {
        4 => {
            let header = array_at(packet, 0).ok()?;
            Some((ipv4_at(header, 12).to_ipv6_mapped(), ipv4_at(header, 16).to_ipv6_mapped()))
        }
        6 => Some((ipv6_at(packet, 8).ok()?, ipv6_at(packet, 24).ok()?)),
        _ => None,
    }
}

/// Reads the IPv4 header at `offset`; from there, `seen_bytes` came.
fn parse_ipv4(packet: &[u8], offset: usize, seen_bytes: u32) -> Result<Ip, NotASegment> {
    let header: &[u8; 20] = array_at(packet, offset)?;
    if header[9] != PROTOCOL_TCP {
        return Err(NotASegment::NotTcp);
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    if fragment & 0x1fff != 0 {
        return Err(NotASegment::NotTcp);
    }
    let header_bytes = u32::from(header[0] & 0x0f) * 4;
    let total_bytes = actual_bytes(u32::from(u16::from_be_bytes([header[2], header[3]])), seen_bytes)?;
    if header_bytes < 20 {
        return Err(NotASegment::Malformed);
    }
    Ok(Ip {
        source: ipv4_at(header, 12).to_ipv6_mapped(),
        destination: ipv4_at(header, 16).to_ipv6_mapped(),
        tcp_offset: offset + header_bytes as usize,
        tcp_bytes: total_bytes.checked_sub(header_bytes).ok_or(NotASegment::Malformed)?,
        is_fragment: fragment & 0x2000 != 0,
    })
}

/// An IPv6 header whose extensions are being walked.
struct Ipv6 {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    /// Where the packet of this header ends.
    end: u32,
}

impl Ipv6 {
    /// Reads the header at `offset` of a packet that ends at `seen_end`, and the kind of the next.
    fn read(packet: &[u8], offset: usize, seen_end: u32) -> Result<(Self, u8), NotASegment> {
        let header: &[u8; 40] = array_at(packet, offset)?;
        let stated_bytes = match u32::from(u16::from_be_bytes([header[4], header[5]])) {
            0 => 0,
            payload_bytes => payload_bytes + 40,
        };
        let bytes = actual_bytes(stated_bytes, bytes_between(offset, seen_end)?)?;
        let end = to_u32(offset)?.checked_add(bytes).ok_or(NotASegment::Malformed)?;
        let (source, destination) = (ipv6_at(packet, offset + 8)?, ipv6_at(packet, offset + 24)?);
        Ok((Self { source, destination, end }, header[6]))
    }
}

fn parse_ipv6(packet: &[u8], packet_bytes: u32) -> Result<Ip, NotASegment> {
    let (mut ip, mut next) = Ipv6::read(packet, 0, packet_bytes)?;
    let mut offset = 40;
    let mut is_fragment = false;
    for _ in 0..=MAX_HEADERS {
        let bytes = match next {
            PROTOCOL_TCP => {
                return Ok(Ip {
                    source: ip.source,
                    destination: ip.destination,
                    tcp_offset: offset,
                    tcp_bytes: bytes_between(offset, ip.end)?,
                    is_fragment,
                });
            }
            IPV4 => {
                let inner = parse_ipv4(packet, offset, bytes_between(offset, ip.end)?)?;
                return Ok(Ip { is_fragment: inner.is_fragment || is_fragment, ..inner });
            }
            IPV6 => {
                (ip, next) = Ipv6::read(packet, offset, ip.end)?;
                offset += 40;
                continue;
            }
            HOP_BY_HOP | DESTINATION_OPTIONS => usize::from(byte_at(packet, offset + 1)?) * 8 + 8,
            ROUTING => {
                let bytes = usize::from(byte_at(packet, offset + 1)?) * 8 + 8;
                ip.destination = final_destination(packet, offset, bytes, ip.destination)?;
                bytes
            }
            AUTHENTICATION => usize::from(byte_at(packet, offset + 1)?) * 4 + 8,
            FRAGMENT => {
                let fragment = u16::from_be_bytes(*array_at(packet, offset + 2)?);
                if fragment & 0xfff8 != 0 {
                    return Err(NotASegment::NotTcp);
                }
                is_fragment |= fragment & 1 != 0;
                8
            }
            _ => return Err(NotASegment::NotTcp),
        };
        next = byte_at(packet, offset)?;
        offset += bytes;
    }
    Err(NotASegment::Malformed)
}

/// The final destination of a packet to `destination`, by the routing header of `bytes` at `offset`. An unknown type has to have no
/// segments left.
fn final_destination(
    packet: &[u8],
    offset: usize,
    bytes: usize,
    destination: Ipv6Addr,
) -> Result<Ipv6Addr, NotASegment> {
    let &[_, _, kind, segments_left] = array_at(packet, offset)?;
    match kind {
        _ if segments_left == 0 => Ok(destination),
        // RFC 5095 and RFC 6275: the last address is the last stop.
        0 | 2 if bytes >= 24 => ipv6_at(packet, offset + bytes - 16),
        // RFC 6554: the same, before the padding, and without the prefix shared with the destination.
        3 => {
            let &[prefixes, padding, ..] = array_at::<4>(packet, offset + 4)?;
            let prefix_bytes = usize::from(prefixes & 0x0f);
            let address_bytes = 16 - prefix_bytes;
            let list_bytes = (bytes - 8).checked_sub(usize::from(padding >> 4)).ok_or(NotASegment::Malformed)?;
            let begin = list_bytes.checked_sub(address_bytes).ok_or(NotASegment::Malformed)? + offset + 8;
            let mut address = destination.octets();
            let rest = packet.get(begin..begin + address_bytes).ok_or(NotASegment::Malformed)?;
            address[prefix_bytes..].copy_from_slice(rest);
            Ok(Ipv6Addr::from(address))
        }
        // RFC 8754: segments are in the reverse order.
        4 if bytes >= 24 => ipv6_at(packet, offset + 8),
        _ => Err(NotASegment::Malformed),
    }
}

/// The length of the network packet. The header says 0 if it is beyond 64 KiB (BIG TCP: IPv6 with a jumbogram option, RFC 2675, or without;
/// IPv4 since kernel 6.3), and less than the kernel saw if the link layer padded it.
const fn actual_bytes(stated: u32, seen: u32) -> Result<u32, NotASegment> {
    match stated {
        0 => Ok(seen),
        stated if stated <= seen => Ok(stated),
        _ => Err(NotASegment::Malformed),
    }
}

fn bytes_between(offset: usize, end: u32) -> Result<u32, NotASegment> {
    end.checked_sub(to_u32(offset)?).ok_or(NotASegment::Malformed)
}

fn to_u32(offset: usize) -> Result<u32, NotASegment> {
    u32::try_from(offset).map_err(|_| NotASegment::Malformed)
}

/// `N` bytes at `offset`, or [`NotASegment::Malformed`] if the packet ends before.
pub fn array_at<const N: usize>(packet: &[u8], offset: usize) -> Result<&[u8; N], NotASegment> {
    packet.get(offset..).and_then(|rest| rest.first_chunk()).ok_or(NotASegment::Malformed)
}

fn byte_at(packet: &[u8], offset: usize) -> Result<u8, NotASegment> {
    packet.get(offset).copied().ok_or(NotASegment::Malformed)
}

fn ipv4_at(header: &[u8; 20], offset: usize) -> Ipv4Addr {
    Ipv4Addr::new(header[offset], header[offset + 1], header[offset + 2], header[offset + 3])
}

fn ipv6_at(packet: &[u8], offset: usize) -> Result<Ipv6Addr, NotASegment> {
    Ok(Ipv6Addr::from(*array_at::<16>(packet, offset)?))
}
