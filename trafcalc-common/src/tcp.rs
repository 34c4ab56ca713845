//! States of a TCP socket, and which addresses are loopback. Pure.

/// States of a TCP socket (`include/net/tcp_states.h`).
pub mod state {
    /// `TCP_ESTABLISHED`.
    pub const ESTABLISHED: u32 = 1;
    /// `TCP_SYN_SENT`.
    pub const SYN_SENT: u32 = 2;
    /// `TCP_SYN_RECV`: a child of a listener before the handshake is over; with fast open it may be written to.
    pub const SYN_RECV: u32 = 3;
    /// `TCP_FIN_WAIT1`.
    pub const FIN_WAIT1: u32 = 4;
    /// `TCP_FIN_WAIT2`.
    pub const FIN_WAIT2: u32 = 5;
    /// `TCP_TIME_WAIT`: the remainder of a connection, without a full socket.
    pub const TIME_WAIT: u32 = 6;
    /// `TCP_CLOSE`.
    pub const CLOSE: u32 = 7;
    /// `TCP_CLOSE_WAIT`.
    pub const CLOSE_WAIT: u32 = 8;
    /// `TCP_LAST_ACK`.
    pub const LAST_ACK: u32 = 9;
    /// `TCP_LISTEN`.
    pub const LISTEN: u32 = 10;
    /// `TCP_CLOSING`.
    pub const CLOSING: u32 = 11;
    /// `TCP_NEW_SYN_RECV`: a handshake without a full socket yet.
    pub const NEW_SYN_RECV: u32 = 12;
}

/// Whether an IPv4 address, as it lies in memory in network order, is in 127.0.0.0/8.
#[must_use]
#[inline]
pub const fn is_loopback_v4(address: u32) -> bool {
    u32::from_be(address) >> 24 == 127
}

/// Whether an IPv6 address, as it lies in memory in network order, is `::1`, or an IPv4-mapped address of 127.0.0.0/8.
#[must_use]
#[inline]
pub const fn is_loopback_v6(address: [u32; 4]) -> bool {
    let [first, second, third, last] = address;
    let is_one = third == 0 && last == 1u32.to_be();
    let is_mapped = third == 0xffffu32.to_be() && is_loopback_v4(last);
    first == 0 && second == 0 && (is_one || is_mapped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn v4(text: &str) -> u32 {
        u32::from_ne_bytes(text.parse::<Ipv4Addr>().unwrap().octets())
    }

    fn v6(text: &str) -> [u32; 4] {
        let octets = text.parse::<Ipv6Addr>().unwrap().octets();
        [0, 4, 8, 12].map(|at| u32::from_ne_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]))
    }

    #[test]
    fn loopback_addresses_are_recognised_and_their_neighbours_are_not() {
        for (text, is_loopback) in [
            ("127.0.0.1", true),
            ("127.255.255.255", true),
            ("126.0.0.1", false),
            ("128.0.0.1", false),
            ("1.0.0.127", false),
        ] {
            assert_eq!(is_loopback_v4(v4(text)), is_loopback, "{text}");
            assert_eq!(is_loopback_v6(v6(&format!("::ffff:{text}"))), is_loopback, "::ffff:{text}");
        }
        for (text, is_loopback) in
            [("::1", true), ("::2", false), ("::", false), ("fe80::1", false), ("::1:0:1", false)]
        {
            assert_eq!(is_loopback_v6(v6(text)), is_loopback, "{text}");
        }
    }
}
