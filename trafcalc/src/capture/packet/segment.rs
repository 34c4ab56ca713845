//! What one captured packet says: a TCP segment of a connection of this host, or why it is none. Pure; trusts nothing.
//!
//! The bytes begin at the network header and may be cut off behind the TCP flags (the filter snaps them), so lengths
//! come from the headers and from the kernel's own idea of the packet's length, never from the slice.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A connection from this host's point of view. IPv4 addresses are in their IPv4-mapped form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoints {
    /// This host's address.
    pub local: Ipv6Addr,
    /// The peer's address.
    pub remote: Ipv6Addr,
    /// This host's port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
}

/// Whether this host sent a packet or received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Sent by this host.
    Outgoing,
    /// Received by this host.
    Incoming,
}

/// A TCP segment without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which connection.
    pub endpoints: Endpoints,
    /// Who sent it.
    pub direction: Direction,
    /// Sequence number of the SYN, or else of the first payload byte.
    pub seq: u32,
    /// Acknowledgement number, where the ACK flag is set.
    pub ack: Option<u32>,
    /// The SYN flag.
    pub syn: bool,
    /// The FIN flag; left out of IP fragments, whose FIN has a sequence number that cannot be told.
    pub fin: bool,
    /// The RST flag.
    pub rst: bool,
    /// Payload in bytes.
    pub payload_bytes: u32,
}

impl Segment {
    /// Sequence number of the first payload byte.
    #[must_use]
    pub const fn payload_seq(&self) -> u32 {
        if self.syn { self.seq.wrapping_add(1) } else { self.seq }
    }

    /// Sequence number behind the last payload byte, which is that of the FIN where there is one.
    #[must_use]
    pub const fn end_seq(&self) -> u32 {
        self.payload_seq().wrapping_add(self.payload_bytes)
    }
}

/// Why a packet is no TCP segment to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotASegment {
    /// Another protocol, or a fragment without the TCP header.
    NotTcp,
    /// Its headers contradict each other or are cut off.
    Malformed,
}

const PROTOCOL_TCP: u8 = 6;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
/// RFC 8200, section 4.1 recommends at most seven extension headers; more than that is malice.
const MAX_EXTENSION_HEADERS: usize = 8;
/// Up to and including the flags; what follows is not read.
const TCP_BYTES_READ: usize = 14;

/// Reads the packet that begins at its network header and was `packet_bytes` long when the kernel saw it.
///
/// # Errors
/// What is wrong with it.
pub fn parse(packet: &[u8], packet_bytes: u32, direction: Direction) -> Result<Segment, NotASegment> {
    let ip = match packet.first().ok_or(NotASegment::Malformed)? >> 4 {
        4 => parse_ipv4(packet, packet_bytes)?,
        6 => parse_ipv6(packet, packet_bytes)?,
        _ => return Err(NotASegment::NotTcp),
    };
    parse_tcp(packet, &ip, direction)
}

/// What the network layer says of the segment in it.
struct Ip {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    /// Where the TCP header begins.
    tcp_offset: usize,
    /// TCP header and payload.
    tcp_bytes: u32,
    /// More fragments follow.
    is_fragment: bool,
}

fn parse_ipv4(packet: &[u8], packet_bytes: u32) -> Result<Ip, NotASegment> {
    let header: &[u8; 20] = array_at(packet, 0)?;
    if header[9] != PROTOCOL_TCP {
        return Err(NotASegment::NotTcp);
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    if fragment & 0x1fff != 0 {
        return Err(NotASegment::NotTcp);
    }
    let header_bytes = u32::from(header[0] & 0x0f) * 4;
    let total_bytes = actual_bytes(u32::from(u16::from_be_bytes([header[2], header[3]])), packet_bytes)?;
    if header_bytes < 20 {
        return Err(NotASegment::Malformed);
    }
    Ok(Ip {
        source: ipv4_at(header, 12).to_ipv6_mapped(),
        destination: ipv4_at(header, 16).to_ipv6_mapped(),
        tcp_offset: header_bytes as usize,
        tcp_bytes: total_bytes.checked_sub(header_bytes).ok_or(NotASegment::Malformed)?,
        is_fragment: fragment & 0x2000 != 0,
    })
}

fn parse_ipv6(packet: &[u8], packet_bytes: u32) -> Result<Ip, NotASegment> {
    let header: &[u8; 40] = array_at(packet, 0)?;
    let stated_bytes = match u32::from(u16::from_be_bytes([header[4], header[5]])) {
        0 => 0,
        payload_bytes => payload_bytes + 40,
    };
    let total_bytes = actual_bytes(stated_bytes, packet_bytes)?;
    let mut next = header[6];
    let mut offset = 40;
    let mut is_fragment = false;
    for _ in 0..MAX_EXTENSION_HEADERS {
        let bytes = match next {
            PROTOCOL_TCP => {
                return Ok(Ip {
                    source: ipv6_at(packet, 8)?,
                    destination: ipv6_at(packet, 24)?,
                    tcp_offset: offset,
                    tcp_bytes: u32::try_from(offset)
                        .ok()
                        .and_then(|offset| total_bytes.checked_sub(offset))
                        .ok_or(NotASegment::Malformed)?,
                    is_fragment,
                });
            }
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => usize::from(byte_at(packet, offset + 1)?) * 8 + 8,
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

/// The length of the network packet. The header says 0 when it is beyond 64 KiB (BIG TCP: IPv6 with a jumbogram
/// option, RFC 2675, or without; IPv4 since kernel 6.3), and less than the kernel saw when the link layer padded it.
fn actual_bytes(stated: u32, seen: u32) -> Result<u32, NotASegment> {
    match stated {
        0 => Ok(seen),
        stated if stated <= seen => Ok(stated),
        _ => Err(NotASegment::Malformed),
    }
}

fn parse_tcp(packet: &[u8], ip: &Ip, direction: Direction) -> Result<Segment, NotASegment> {
    let header: &[u8; TCP_BYTES_READ] = array_at(packet, ip.tcp_offset)?;
    let header_bytes = u32::from(header[12] >> 4) * 4;
    if header_bytes < 20 {
        return Err(NotASegment::Malformed);
    }
    let payload_bytes = ip.tcp_bytes.checked_sub(header_bytes).ok_or(NotASegment::Malformed)?;
    let flags = header[13];
    let [source_port, destination_port] = [0, 2].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
    let [seq, ack] = [4, 8].map(|at| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]));
    let endpoints = match direction {
        Direction::Outgoing => Endpoints {
            local: ip.source,
            remote: ip.destination,
            local_port: source_port,
            remote_port: destination_port,
        },
        Direction::Incoming => Endpoints {
            local: ip.destination,
            remote: ip.source,
            local_port: destination_port,
            remote_port: source_port,
        },
    };
    Ok(Segment {
        endpoints,
        direction,
        seq,
        ack: (flags & 0x10 != 0).then_some(ack),
        syn: flags & 0x02 != 0,
        fin: flags & 0x01 != 0 && !ip.is_fragment,
        rst: flags & 0x04 != 0,
        payload_bytes,
    })
}

fn array_at<const N: usize>(packet: &[u8], offset: usize) -> Result<&[u8; N], NotASegment> {
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

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
