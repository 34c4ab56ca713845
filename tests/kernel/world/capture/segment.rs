//! Headers of a captured packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a TCP segment says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    /// Of its first payload byte; the number of a SYN is the one before.
    pub(super) sequence: u32,
    pub(super) acknowledged: Option<u32>,
    pub(super) is_syn: bool,
    pub(super) is_fin: bool,
    pub(super) is_reset: bool,
    pub(super) payload: u64,
}

impl Segment {
    /// Whether it is the first of a connection.
    pub(super) fn opens(&self) -> bool {
        self.is_syn && self.acknowledged.is_none()
    }
}

/// Reads a packet whose first bytes are these, and which has `length` bytes from the network header on. Nothing if it is
/// no TCP segment.
pub(super) fn parse(packet: &[u8], length: usize) -> Option<Segment> {
    let network = match packet.first()? >> 4 {
        4 => ipv4(packet, length)?,
        6 => ipv6(packet, length)?,
        _ => return None,
    };
    let tcp = packet.get(network.header..)?;
    let (flags, header) = (*tcp.get(13)?, usize::from(*tcp.get(12)? >> 4) * 4);
    let is_syn = flags & 0x02 != 0;
    Some(Segment {
        source: SocketAddr::new(network.source, short(tcp, 0)?),
        destination: SocketAddr::new(network.destination, short(tcp, 2)?),
        sequence: word(tcp, 4)?.wrapping_add(u32::from(is_syn)),
        acknowledged: if flags & 0x10 != 0 { Some(word(tcp, 8)?) } else { None },
        is_syn,
        is_fin: flags & 0x01 != 0,
        is_reset: flags & 0x04 != 0,
        payload: network.length.checked_sub(network.header + header)? as u64,
    })
}

/// What the network header says.
struct Network {
    source: IpAddr,
    destination: IpAddr,
    /// Of the header, extension headers included.
    header: usize,
    /// Of the packet, without padding of the link layer.
    length: usize,
}

fn ipv4(packet: &[u8], length: usize) -> Option<Network> {
    const TCP: u8 = 6;
    if *packet.get(9)? != TCP {
        return None;
    }
    let address = |at: usize| Some(IpAddr::V4(Ipv4Addr::from(word(packet, at)?)));
    // The length does not fit for packets beyond 64 KiB, which are then said to have 0.
    let said = usize::from(short(packet, 2)?);
    let length = if said == 0 { length } else { said };
    Some(Network { source: address(12)?, destination: address(16)?, header: usize::from(packet[0] & 15) * 4, length })
}

fn ipv6(packet: &[u8], length: usize) -> Option<Network> {
    const TCP: u8 = 6;
    const HOP_BY_HOP: u8 = 0;
    let address = |at: usize| {
        let bytes: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(bytes)))
    };
    let (mut next, mut header) = (*packet.get(6)?, 40);
    // The kernel puts the length of packets beyond 64 KiB into one of these.
    if next == HOP_BY_HOP {
        next = *packet.get(header)?;
        header += (usize::from(*packet.get(header + 1)?) + 1) * 8;
    }
    if next != TCP {
        return None;
    }
    let said = usize::from(short(packet, 4)?);
    let length = if said == 0 { length } else { 40 + said };
    Some(Network { source: address(8)?, destination: address(24)?, header, length })
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
