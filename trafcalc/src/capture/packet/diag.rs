//! Asks the kernel about one connection or lists all (`sock_diag(7)`). Knows nothing of packets.

pub mod replies;

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::ControlFlow;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_LISTEN, TCP_SYN_RECV, TCP_TIME_WAIT,
};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, InetResponseHeader, SocketId, StateFlags,
};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::time::TimeVal;

use netlink_sys::{Socket, SocketAddr as NetlinkAddr, protocols::NETLINK_SOCK_DIAG};

use replies::Asked;

use super::addresses::Addresses;
use super::finding::{Finding, Question, Standing};
use super::segment::Endpoints;
use super::totals::Totals;
use crate::capture::CaptureError;

/// `INET_DIAG_NOCOOKIE` (`linux/inet_diag.h`): any socket with these endpoints.
const ANY_COOKIE: [u8; 8] = [0xff; 8];
/// Also reported if the kernel knows no user.
const ROOT: u32 = 0;
/// The kernel answers at once, or not at all.
pub const LONGEST_REPLY: TimeVal = TimeVal::new(1, 0);
/// A reply about one socket takes 92 bytes, and what newer kernels always add.
const REPLY_BYTES: usize = 1 << 10;
/// The kernel sends at most this much at a time when it lists sockets (`netlink_dump`).
const LIST_BYTES: usize = 32 << 10;

/// A netlink socket for questions about connections of its network namespace.
pub struct SockDiag {
    socket: Socket,
    /// Its last question.
    asked: Asked,
    addresses: Addresses,
}

impl SockDiag {
    /// Opens it; needs no privilege.
    pub fn open() -> Result<Self, CaptureError> {
        let connect = || {
            let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
            let port = socket.bind_auto()?.port_number();
            socket.connect(&NetlinkAddr::new(0, 0))?;
            setsockopt(&socket, ReceiveTimeout, &LONGEST_REPLY)?;
            Ok((socket, port))
        };
        let (socket, port) = connect().map_err(|source| CaptureError::System { what: "opening sock_diag", source })?;
        Ok(Self { socket, asked: Asked { sequence: 0, port }, addresses: Addresses::open()? })
    }

    /// What the kernel knows of a connection now.
    pub fn ask(&mut self, question: &Question) -> Result<Finding, CaptureError> {
        let found = self.look_up_surely(&question.endpoints, question.interface)?;
        let inode = found.as_ref().map_or(0, |socket| socket.inode);
        let (standing, listener) = match found {
            Some(socket) if socket.state == TCP_LISTEN => (Standing::Gone, Some(socket.uid)),
            Some(socket) if is_passive_or_over(&socket) => (standing_of(&socket), self.listener(question)?),
            Some(socket) => (standing_of(&socket), None),
            None if self.addresses.is_local(question.endpoints.local, question.interface) => (Standing::Gone, None),
            None => (Standing::Foreign, None),
        };
        let forwards = standing == Standing::Gone && forwards();
        Ok(Finding { question: *question, standing, inode, listener, forwards })
    }

    /// The user of the socket that listens on the connection's local port.
    fn listener(&mut self, question: &Question) -> Result<Option<u32>, CaptureError> {
        let unspecified = match question.endpoints.remote.to_ipv4_mapped() {
            Some(_) => std::net::Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(),
            None => Ipv6Addr::UNSPECIFIED,
        };
        let anybody = Endpoints { remote: unspecified, remote_port: 0, ..question.endpoints };
        let found = self.look_up(&anybody, question.interface)?;
        Ok(found.filter(|socket| socket.state == TCP_LISTEN).map(|socket| socket.uid))
    }

    /// Like `look_up`, but believes root only if reported twice: for a connection that is accepted meanwhile, the kernel reports the uid
    /// from before (0, as no process holds it) and the inode from after (`inet_diag_msg_attrs_fill`).
    fn look_up_surely(
        &mut self,
        endpoints: &Endpoints,
        interface: u32,
    ) -> Result<Option<InetResponseHeader>, CaptureError> {
        match self.look_up(endpoints, interface)? {
            Some(socket) if socket.uid == ROOT && socket.inode != 0 => self.look_up(endpoints, interface),
            found => Ok(found),
        }
    }

    /// The socket that gets segments for `endpoints`: the connection's own, or else the listener's.
    fn look_up(&mut self, endpoints: &Endpoints, interface: u32) -> Result<Option<InetResponseHeader>, CaptureError> {
        self.exchange(request(endpoints, interface))
            .map(|found| found.map(|response| response.header))
            .map_err(|source| CaptureError::System { what: "asking sock_diag", source })
    }

    /// The kernel's totals of a connection now, if it is established or being closed.
    pub fn totals_of(&mut self, question: &Question) -> Result<Option<Totals>, CaptureError> {
        let extensions = ExtensionFlags::INFO;
        let request = InetRequest { extensions, ..request(&question.endpoints, question.interface) };
        let found = self
            .exchange(request)
            .map_err(|source| CaptureError::System { what: "asking sock_diag for totals", source })?;
        let connection = found.as_ref().map(Connection::of);
        Ok(connection.filter(|known| known.endpoints == question.endpoints).and_then(|known| known.totals))
    }

    fn exchange(&mut self, request: InetRequest) -> io::Result<Option<InetResponse>> {
        self.send(request, NLM_F_REQUEST)?;
        loop {
            let reply = self.receive(REPLY_BYTES)?;
            if let ControlFlow::Break(found) = self.asked.read_one(&reply)? {
                return Ok(found);
            }
        }
    }

    /// All connections except in `SYN_RECV` and `TIME_WAIT`; with the kernel's totals if wanted.
    pub fn connections(&mut self, wants_totals: bool) -> Result<Vec<Connection>, CaptureError> {
        let extensions = if wants_totals { ExtensionFlags::INFO } else { ExtensionFlags::empty() };
        let mut found = self.list(&extensions)?;
        for connection in &mut found {
            if connection.owner == Some(ROOT) {
                self.ask_once_more(connection);
            }
        }
        Ok(found)
    }

    /// The kernel's totals of all connections.
    pub fn totals(&mut self) -> Result<impl Iterator<Item = (Endpoints, Totals)>, CaptureError> {
        let found = self.list(&ExtensionFlags::INFO)?;
        Ok(found.into_iter().filter_map(|Connection { endpoints, totals, .. }| Some((endpoints, totals?))))
    }

    /// Whether a process holds it, and whose.
    fn ask_once_more(&mut self, connection: &mut Connection) {
        let again = self.look_up(&connection.endpoints, connection.interface).ok().flatten();
        let again = again.filter(|socket| socket.inode != 0 && socket.state != TCP_LISTEN);
        connection.owner = again.as_ref().map(|socket| socket.uid);
        connection.inode = again.map_or(0, |socket| socket.inode);
    }

    fn list(&mut self, extensions: &ExtensionFlags) -> Result<Vec<Connection>, CaptureError> {
        let mut found = Vec::new();
        for family in [AF_INET, AF_INET6] {
            self.dump(family, extensions.clone(), &mut found)
                .map_err(|source| CaptureError::System { what: "listing connections with sock_diag", source })?;
        }
        Ok(found)
    }

    fn dump(&mut self, family: u8, extensions: ExtensionFlags, found: &mut Vec<Connection>) -> io::Result<()> {
        let socket_id = if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() };
        let no_connection = StateFlags::SYN_RECV | StateFlags::TIME_WAIT | StateFlags::CLOSE | StateFlags::LISTEN;
        let states = StateFlags::all() - no_connection;
        let request = InetRequest { family, protocol: IPPROTO_TCP, extensions, states, socket_id };
        self.send(request, NLM_F_REQUEST | NLM_F_DUMP)?;
        let mut sockets = Vec::new();
        loop {
            let replies = self.receive(LIST_BYTES)?;
            let end = self.asked.read_list(&replies, &mut sockets)?;
            found.extend(sockets.drain(..).map(|socket| Connection::of(&socket)));
            if end.is_break() {
                return Ok(());
            }
        }
    }

    fn send(&mut self, request: InetRequest, flags: u16) -> io::Result<()> {
        self.asked.sequence = self.asked.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.asked.sequence;
        let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }

    fn receive(&self, most_bytes: usize) -> io::Result<Vec<u8>> {
        let mut reply = Vec::with_capacity(most_bytes);
        loop {
            match self.socket.recv(&mut reply, 0) {
                // The kernel does not restart calls with a timeout, even with `SA_RESTART`.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(|_| reply),
            }
        }
    }
}

/// A connection that the kernel lists.
pub struct Connection {
    /// Its two ends.
    pub endpoints: Endpoints,
    /// Index of the interface that its socket is bound to; 0 if to none.
    pub interface: u32,
    /// The user of the socket, if a process holds it.
    pub owner: Option<u32>,
    /// The inode of the socket; 0 if no process holds it.
    pub inode: u32,
    /// The kernel's totals, if they were wanted and are known.
    pub totals: Option<Totals>,
}

impl Connection {
    fn of(InetResponse { header: socket, nlas }: &InetResponse) -> Self {
        let tcp_info = nlas.iter().find_map(|attribute| match attribute {
            Nla::TcpInfo(bytes) => Some(&bytes[..]),
            _ => None,
        });
        Self {
            endpoints: endpoints_of(socket),
            interface: socket.socket_id.interface_id,
            owner: (socket.inode != 0).then_some(socket.uid),
            inode: socket.inode,
            totals: tcp_info.and_then(|bytes| Totals::of(socket, bytes)),
        }
    }
}

fn endpoints_of(socket: &InetResponseHeader) -> Endpoints {
    let mapped = |address| match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let id = &socket.socket_id;
    Endpoints {
        local: mapped(id.source_address),
        remote: mapped(id.destination_address),
        local_port: id.source_port,
        remote_port: id.destination_port,
    }
}

/// A socket has an owner while a process holds it. The kernel reports inode 0 for a socket that is not accepted yet or already closed, and
/// its uid then means nothing (`inet_sk_diag_fill`, `inet_twsk_diag_fill`).
const fn standing_of(socket: &InetResponseHeader) -> Standing {
    match (socket.inode, socket.state) {
        (_, TCP_TIME_WAIT) => Standing::TimeWait,
        (0, TCP_SYN_RECV) => Standing::HalfOpen,
        (0, TCP_ESTABLISHED | TCP_CLOSE_WAIT) => Standing::Unaccepted,
        (0, _) => Standing::Orphaned,
        _ => Standing::Owned(socket.uid),
    }
}

/// Whether the owner may have to be guessed from the listener. The listener is not looked up again while the connection waits for accept.
const fn is_passive_or_over(socket: &InetResponseHeader) -> bool {
    socket.inode == 0 && !matches!(socket.state, TCP_ESTABLISHED | TCP_CLOSE_WAIT)
}

fn request(endpoints: &Endpoints, interface: u32) -> InetRequest {
    let (family, local, remote) = match (endpoints.local.to_ipv4_mapped(), endpoints.remote.to_ipv4_mapped()) {
        (Some(local), Some(remote)) => (AF_INET, IpAddr::V4(local), IpAddr::V4(remote)),
        _ => (AF_INET6, IpAddr::V6(endpoints.local), IpAddr::V6(endpoints.remote)),
    };
    InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: endpoints.local_port,
            destination_port: endpoints.remote_port,
            source_address: local,
            destination_address: remote,
            interface_id: interface,
            cookie: ANY_COOKIE,
        },
    }
}

/// Whether this host forwards packets between its interfaces.
fn forwards() -> bool {
    ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"]
        .iter()
        .any(|path| std::fs::read(path).is_ok_and(|value| value.first() == Some(&b'1')))
}
