//! The kernel's own totals of a connection, as `sock_diag` reports them. Pure.

use netlink_packet_sock_diag::constants::{
    TCP_CLOSE_WAIT, TCP_CLOSING, TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_LAST_ACK,
};
use netlink_packet_sock_diag::inet::InetResponseHeader;

/// Offsets in `struct tcp_info`: times in all versions, totals since Linux 4.1, unsent bytes since 4.6.
const LAST_DATA_RECV: usize = 52;
const BYTES_ACKED: usize = 120;
const BYTES_RECEIVED: usize = 128;
const NOTSENT_BYTES: usize = 144;

/// The kernel's totals of a connection that is established or being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Identifies the socket among all since the host was started.
    pub cookie: u64,
    /// Bytes that the peer acknowledged, with this host's FIN, and its SYN if it opened the connection.
    pub acked: u64,
    /// Bytes that were written and are not acknowledged, with this host's FIN.
    pub queued: u32,
    /// Bytes that were received in order, with the peer's FIN.
    pub received: u64,
    /// Whether this host has closed its direction.
    pub is_closed: bool,
    /// Whether this host's FIN has been transmitted.
    pub has_sent_fin: bool,
    /// Whether the peer's FIN has been received in order.
    pub has_received_fin: bool,
    /// How long ago data was last received, in milliseconds.
    pub quiet_ms: u32,
}

impl Totals {
    /// Reads a reply; `None` for other states, and if the kernel does not report it.
    pub fn of(socket: &InetResponseHeader, tcp_info: &[u8]) -> Option<Self> {
        let (is_closed, has_received_fin) = match socket.state {
            TCP_ESTABLISHED => (false, false),
            TCP_CLOSE_WAIT => (false, true),
            TCP_FIN_WAIT1 | TCP_FIN_WAIT2 => (true, false),
            TCP_CLOSING | TCP_LAST_ACK => (true, true),
            _ => return None,
        };
        // The FIN is the last byte written.
        let is_all_sent = number(tcp_info, NOTSENT_BYTES).map(u32::from_ne_bytes)? == 0;
        Some(Self {
            cookie: u64::from_ne_bytes(socket.socket_id.cookie),
            acked: number(tcp_info, BYTES_ACKED).map(u64::from_ne_bytes)?,
            queued: socket.send_queue,
            received: number(tcp_info, BYTES_RECEIVED).map(u64::from_ne_bytes)?,
            is_closed,
            has_sent_fin: is_closed && is_all_sent,
            has_received_fin,
            quiet_ms: number(tcp_info, LAST_DATA_RECV).map(u32::from_ne_bytes)?,
        })
    }
}

fn number<const BYTES: usize>(tcp_info: &[u8], at: usize) -> Option<[u8; BYTES]> {
    tcp_info.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use netlink_packet_sock_diag::constants::{AF_INET, TCP_SYN_SENT, TCP_TIME_WAIT};
    use netlink_packet_sock_diag::inet::SocketId;

    use super::*;

    fn socket(state: u8) -> InetResponseHeader {
        let socket_id = SocketId { cookie: 7_u64.to_ne_bytes(), ..SocketId::new_v4() };
        let (recv_queue, send_queue) = (5, 9);
        InetResponseHeader { family: AF_INET, state, timer: None, socket_id, recv_queue, send_queue, uid: 0, inode: 0 }
    }

    fn tcp_info(acked: u64, received: u64, notsent: u32) -> Vec<u8> {
        let mut info = vec![0xaa; 232];
        info[BYTES_ACKED..][..8].copy_from_slice(&acked.to_ne_bytes());
        info[BYTES_RECEIVED..][..8].copy_from_slice(&received.to_ne_bytes());
        info[NOTSENT_BYTES..][..4].copy_from_slice(&notsent.to_ne_bytes());
        info
    }

    #[test]
    fn totals_are_where_the_kernel_puts_them() {
        let info = tcp_info(1 << 40, 3 << 33, 0);
        let totals = Totals::of(&socket(TCP_ESTABLISHED), &info).unwrap();
        assert_eq!((totals.cookie, totals.acked, totals.queued, totals.received), (7, 1 << 40, 9, 3 << 33));
        assert_eq!(totals.quiet_ms, 0xaaaa_aaaa);
        assert!(!totals.has_sent_fin && !totals.has_received_fin);
        assert_eq!(Totals::of(&socket(TCP_ESTABLISHED), &info[..NOTSENT_BYTES + 3]), None, "an older kernel");
        assert_eq!(Totals::of(&socket(TCP_ESTABLISHED), &[]), None);
    }

    #[test]
    fn fins_are_told_by_the_state_and_by_what_is_not_sent() {
        let fins = |state, notsent| {
            Totals::of(&socket(state), &tcp_info(1, 1, notsent)).map(|all| (all.has_sent_fin, all.has_received_fin))
        };
        assert_eq!(fins(TCP_CLOSE_WAIT, 0), Some((false, true)));
        assert_eq!(fins(TCP_FIN_WAIT1, 1), Some((false, false)), "it waits behind data");
        assert_eq!(fins(TCP_FIN_WAIT1, 0), Some((true, false)));
        assert_eq!(fins(TCP_FIN_WAIT2, 0), Some((true, false)));
        assert_eq!(fins(TCP_CLOSING, 0), Some((true, true)));
        assert_eq!(fins(TCP_LAST_ACK, 7), Some((false, true)));
        assert_eq!((fins(TCP_SYN_SENT, 0), fins(TCP_TIME_WAIT, 0)), (None, None), "nothing to go on from");
    }
}
