//! What a captured packet is: a TCP segment of a connection of this host, or why it is none. Pure; trusts nothing.
//!
//! The bytes begin at the network header and may be cut off after the TCP flags (the filter snaps them), so lengths come from the headers
//! and from the packet length that the kernel reports, never from the slice.

use std::net::Ipv6Addr;

use super::network::{Ip, array_at, locate_tcp};

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
    /// Acknowledgement number, if the ACK flag is set.
    pub ack: Option<u32>,
    /// The SYN flag.
    pub syn: bool,
    /// The FIN flag; left out of IP fragments, because the sequence number of their FIN is unknown.
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

    /// Sequence number after the last payload byte: that of the FIN, if there is one.
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

/// Up to and including the flags; what follows is not read.
const TCP_BYTES_READ: usize = 14;

/// Reads the packet that begins at its network header and was `packet_bytes` long when the kernel saw it.
///
/// # Errors
/// What is wrong with it.
pub fn parse(packet: &[u8], packet_bytes: u32, direction: Direction) -> Result<Segment, NotASegment> {
    parse_tcp(packet, &locate_tcp(packet, packet_bytes)?, direction)
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

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
