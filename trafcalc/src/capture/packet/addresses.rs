//! Which addresses are this host's own. The kernel is asked how it would route a packet to an address (`rtnetlink(7)`), which needs no
//! privilege and no internet socket. Binding a socket to it says less: with `ip_nonlocal_bind`, all can be bound.

use std::io;
use std::net::Ipv6Addr;

use libc::{AF_INET, AF_INET6, NLM_F_REQUEST, NLMSG_ERROR, RTA_DST, RTA_OIF, RTM_GETROUTE, RTM_NEWROUTE, RTN_LOCAL};
use libc::{EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH, ENODEV};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReceiveTimeout;

use super::diag::LONGEST_REPLY;
use crate::capture::CaptureError;

/// Length of a message header (`struct nlmsghdr`).
const HEADER: usize = 16;
/// Offset of a route's type after it (`struct rtmsg`).
const ROUTE_TYPE: usize = 7;
/// A route takes less, and what does not fit is not needed.
const REPLY_BYTES: usize = 1 << 10;

/// A netlink socket for questions about addresses of its network namespace.
pub struct Addresses {
    socket: Socket,
    /// The number of the last question.
    sequence: u32,
}

impl Addresses {
    /// Opens it.
    ///
    /// # Errors
    /// There is no rtnetlink, or no descriptor.
    pub fn open() -> Result<Self, CaptureError> {
        let connect = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            setsockopt(&socket, ReceiveTimeout, &LONGEST_REPLY)?;
            Ok(socket)
        };
        let socket = connect().map_err(|source| CaptureError::System { what: "opening rtnetlink", source })?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Whether `address` is one of this host's; a link-local one has to be on the link of `interface`. If the kernel cannot say, it is
    /// taken for one of this host's.
    pub fn is_local(&mut self, address: Ipv6Addr, interface: u32) -> bool {
        self.sequence = self.sequence.wrapping_add(1);
        let question = question(address, interface, self.sequence);
        let ask = || -> io::Result<bool> {
            self.socket.send(&question, 0)?;
            loop {
                let mut reply = Vec::with_capacity(REPLY_BYTES);
                self.socket.recv(&mut reply, 0)?;
                if let Some(answer) = answer(&reply, self.sequence) {
                    return answer;
                }
            }
        };
        ask().unwrap_or(true)
    }
}

/// How the kernel would route a packet to `address`.
fn question(address: Ipv6Addr, interface: u32, sequence: u32) -> Vec<u8> {
    let (family, bytes) = match address.to_ipv4_mapped() {
        Some(address) => (AF_INET, address.octets().to_vec()),
        None => (AF_INET6, address.octets().to_vec()),
    };
    let bits = u8::try_from(8 * bytes.len()).unwrap_or_default();
    let mut message = vec![0; HEADER];
    message.extend([u8::try_from(family).unwrap_or_default(), bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    add(&mut message, RTA_DST, &bytes);
    if address.is_unicast_link_local() {
        add(&mut message, RTA_OIF, &interface.to_ne_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or_default();
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_GETROUTE.to_ne_bytes());
    message[6..8].copy_from_slice(&u16::try_from(NLM_F_REQUEST).unwrap_or_default().to_ne_bytes());
    message[8..12].copy_from_slice(&sequence.to_ne_bytes());
    message
}

/// Adds an attribute (`struct rtattr`), whose length is a multiple of four.
fn add(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or_default();
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
}

/// Whether this host would get the packet; `None` if this answers another question.
fn answer(reply: &[u8], sequence: u32) -> Option<io::Result<bool>> {
    let kind = u16::from_ne_bytes(reply.get(4..6)?.try_into().ok()?);
    let is_meant = reply.get(8..12)? == sequence.to_ne_bytes();
    match kind {
        _ if !is_meant => None,
        RTM_NEWROUTE => reply.get(HEADER + ROUTE_TYPE).map(|&kind| Ok(kind == RTN_LOCAL)),
        kind if i32::from(kind) == NLMSG_ERROR => {
            let errno = i32::from_ne_bytes(reply.get(HEADER..HEADER + 4)?.try_into().ok()?).wrapping_neg();
            // No route, or one that rejects packets. Any other error, such as a lack of memory, says nothing.
            let has_no_route = [ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL, ENODEV].contains(&errno);
            Some(if has_no_route { Ok(false) } else { Err(io::Error::from_raw_os_error(errno)) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loopback interface of every network namespace.
    const LOOPBACK: u32 = 1;

    #[test]
    fn addresses_of_this_host_are_told_from_those_of_others() {
        let mut addresses = Addresses::open().unwrap();
        for own in ["::ffff:127.0.0.1", "::ffff:127.3.2.1", "::1"] {
            assert!(addresses.is_local(own.parse().unwrap(), LOOPBACK), "{own}");
        }
        for other in ["::ffff:192.0.2.1", "::ffff:255.255.255.255", "2001:db8::1", "fe80::1234:1", "ff02::1", "::"] {
            assert!(!addresses.is_local(other.parse().unwrap(), LOOPBACK), "{other}");
        }
    }

    #[test]
    fn an_answer_to_another_question_or_half_of_one_says_nothing() {
        let mut reply = question("::1".parse().unwrap(), LOOPBACK, 7);
        reply[4..6].copy_from_slice(&RTM_NEWROUTE.to_ne_bytes());
        reply[HEADER + ROUTE_TYPE] = RTN_LOCAL;
        assert!(answer(&reply, 7).unwrap().unwrap());
        for (part, sequence) in [(&reply[..], 8), (&reply[..HEADER + ROUTE_TYPE], 7), (&reply[..9], 7)] {
            assert!(answer(part, sequence).is_none());
        }
    }

    #[test]
    fn an_error_tells_that_an_address_is_not_local_only_where_there_is_no_route() {
        let mut reply = question("::1".parse().unwrap(), LOOPBACK, 7);
        reply[4..6].copy_from_slice(&u16::try_from(NLMSG_ERROR).unwrap().to_ne_bytes());
        let mut told = |errno: i32| {
            reply[HEADER..HEADER + 4].copy_from_slice(&(-errno).to_ne_bytes());
            answer(&reply, 7).unwrap()
        };
        assert!(!told(ENETUNREACH).unwrap() && !told(EACCES).unwrap());
        assert_eq!(told(libc::ENOMEM).unwrap_err().raw_os_error(), Some(libc::ENOMEM));
    }
}
