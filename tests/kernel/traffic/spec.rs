//! What a traffic program is told to do: plain data, passed as JSON in its only argument.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::world::Cgroup;

/// One process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Program {
    /// The user it becomes before it makes a socket.
    pub(crate) uid: u32,
    /// Whose sockets it makes or is given, if not its own. Making them takes `uid` 0.
    pub(crate) owner: Option<u32>,
    /// Whether each of its connections is of another user: of `owner` and those behind. It tells all as `owner`'s.
    pub(crate) owners_count_up: bool,
    /// The name of its executable, if it is to have one of its own.
    pub(crate) name: Option<String>,
    /// The folder of the cgroup it enters before anything else.
    pub(crate) cgroup: Option<PathBuf>,
    /// Whether it holds, as at [`Step::Hold`], before it makes a socket.
    pub(crate) waits: bool,
    pub(crate) role: Role,
    pub(crate) transport: Transport,
    /// Set on each socket it makes, before it connects or listens.
    pub(crate) options: Vec<SocketOption>,
    /// How many connections it makes or accepts.
    pub(crate) connections: u32,
    /// How many threads do so, each with its share of `connections`.
    pub(crate) at_once: u32,
    /// What happens on each connection; it is closed behind the last step.
    pub(crate) steps: Vec<Step>,
}

/// How it comes by its connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    Connect(SocketAddr),
    Listen(SocketAddr),
    /// One thread makes all connections, takes each through the steps, holds with all of them open, and closes them.
    ConnectCrowd(SocketAddr),
    /// The same, and accepts them.
    ListenCrowd(SocketAddr),
    /// Listens; one child for each of these users accepts, from that one socket.
    Prefork {
        addr: SocketAddr,
        workers: Vec<u32>,
    },
    /// A child whose listening socket is its standard input.
    Worker,
    /// Listens and accepts; a child of this user talks on each connection.
    Delegate {
        addr: SocketAddr,
        to: u32,
    },
    /// A child whose connection is its standard input.
    Heir,
    /// A child that is sent its connection through a Unix socket, its standard input.
    Recipient,
}

/// What kind of socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Transport {
    #[default]
    Tcp,
    /// The first data goes with the SYN.
    FastOpen,
    Mptcp,
}

/// An option of a socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SocketOption {
    pub(crate) level: i32,
    pub(crate) name: i32,
    pub(crate) value: Vec<u8>,
}

/// One thing done on a connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Send `bytes` in calls of at most `chunk` bytes.
    Send { how: Sending, bytes: u64, chunk: usize },
    /// As many threads at once each send `bytes`.
    SendByThreads { threads: u32, bytes: u64, chunk: usize },
    /// Send until the send buffer stays full.
    Fill,
    /// Send `bytes` unless the connection breaks before.
    Offer { bytes: u64, chunk: usize },
    /// Peek until so many bytes are there, or the stream has ended, and take none of them.
    Peek { bytes: usize },
    /// Wait until so many bytes are there, and leave them.
    AwaitUnread { bytes: usize },
    /// Wait until the peer has acknowledged all that was sent.
    AwaitAcknowledged,
    /// Wait until the peer has reset the connection.
    AwaitReset,
    /// Give the peer up by `connect` to no address; the socket lives on.
    Disconnect,
    /// Connect the same socket again.
    Connect(SocketAddr),
    /// Connect the same socket again, under `TCP_REPAIR`: without a handshake; takes `uid` 0.
    ConnectUnderRepair(SocketAddr),
    /// Set the number of the next byte of a queue under `TCP_REPAIR`, by so much further than it is; takes `uid` 0.
    Renumber { queue: Queue, by: i32 },
    /// End the connection under `TCP_REPAIR` without the peer's notice, and go on with it; its numbers are others by
    /// `detour` in between; takes `uid` 0.
    Move { detour: i32 },
    /// Read `bytes`, or to the end of the stream (a reset ends it, too), in calls of at most `chunk` bytes.
    Receive { how: Receiving, bytes: Option<u64>, chunk: usize },
    /// Do what this seed leads to, and count nothing.
    Random { seed: u64 },
    /// Close the sending direction only.
    Shut,
    /// Have the close at the end be a reset.
    Reset,
    /// Say that this point is reached and wait for the harness.
    Hold,
    /// Do nothing for so many milliseconds.
    Pause(u64),
    /// Wait until every thread of this program is here.
    Meet,
    /// Give the socket to another user; takes `uid` 0.
    Chown(u32),
    /// The same without the right to do so.
    ChownInVain(u32),
    /// Act as another user from now on; takes `uid` 0.
    ActAs(u32),
    /// Enter the cgroup with this folder; takes `uid` 0.
    Enter(PathBuf),
    /// A child takes these steps with the connection, and ends; with `again` it has the number of the last one.
    Fork { again: bool, steps: Vec<Step> },
    /// Become a program of this name (`exec`), which takes these steps; takes `uid` 0 and a name of its own before.
    Become { name: String, steps: Vec<Step> },
    /// Pass the socket to a process of another user, who takes these steps with it.
    Pass { uid: u32, steps: Vec<Step> },
}

/// A queue of a socket under `TCP_REPAIR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Queue {
    Receive,
    Send,
}

/// A way of sending; each has a file in `send/`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Sending {
    Plain,
    Nonblocking,
    Vectored,
    Batched,
    File,
    Splice,
    Zerocopy,
    Urgent,
    IoUring,
    Tls,
}

/// A way of reading; each has a file in `receive/`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Receiving {
    Plain,
    Nonblocking,
    WaitAll,
    LowWater,
    Peek,
    Truncated,
    QuickAck,
    Vectored,
    Batched,
    Splice,
    Mapped,
    Urgent,
    IoUring,
    Tls,
}

/// A good size for a call when the size does not matter.
pub(crate) const CHUNK: usize = 65_536;

impl Program {
    pub(crate) fn connect(uid: u32, addr: SocketAddr, steps: impl Into<Vec<Step>>) -> Self {
        let role = Role::Connect(addr);
        let transport = Transport::default();
        Self {
            uid,
            owner: None,
            owners_count_up: false,
            name: None,
            cgroup: None,
            waits: false,
            role,
            transport,
            options: Vec::new(),
            connections: 1,
            at_once: 1,
            steps: steps.into(),
        }
    }

    pub(crate) fn listen(uid: u32, addr: SocketAddr, steps: impl Into<Vec<Step>>) -> Self {
        Self { role: Role::Listen(addr), ..Self::connect(uid, addr, steps) }
    }

    /// The same with all connections open together, without a thread for each.
    pub(crate) fn crowd(mut self, connections: u32) -> Self {
        self.role = match self.role {
            Role::Connect(addr) => Role::ConnectCrowd(addr),
            Role::Listen(addr) => Role::ListenCrowd(addr),
            other => other,
        };
        Self { connections, ..self }
    }

    /// The same with `connections`, `at_once` of them at a time.
    pub(crate) fn times(self, connections: u32, at_once: u32) -> Self {
        Self { connections, at_once, ..self }
    }

    /// The same as a program of this name.
    pub(crate) fn called(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// The same in a cgroup.
    pub(crate) fn inside(self, cgroup: &Cgroup) -> Self {
        Self { cgroup: Some(cgroup.path().to_owned()), ..self }
    }

    /// The same on another port.
    pub(crate) fn on_port(mut self, port: u16) -> Self {
        if let Role::Connect(addr) | Role::Listen(addr) | Role::ConnectCrowd(addr) | Role::ListenCrowd(addr) =
            &mut self.role
        {
            addr.set_port(port);
        }
        self
    }

    /// The same with each connection of another user, from this one on; takes `uid` 0.
    pub(crate) fn of_users_from(self, first: u32) -> Self {
        Self { owner: Some(first), owners_count_up: true, ..self }
    }

    /// The same with an option set on each socket whose value is an `int`.
    pub(crate) fn with_option(self, level: i32, name: i32, value: i32) -> Self {
        self.with_long_option(level, name, value.to_ne_bytes().into())
    }

    /// The same with an option set on each socket.
    pub(crate) fn with_long_option(mut self, level: i32, name: i32, value: Vec<u8>) -> Self {
        self.options.push(SocketOption { level, name, value });
        self
    }

    pub(crate) fn over(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    /// Whose bytes are those of its sockets.
    pub(crate) fn owner(&self) -> u32 {
        self.owner.unwrap_or(self.uid)
    }

    /// Whether others can connect to it.
    pub(crate) fn listens(&self) -> bool {
        matches!(self.role, Role::Listen(_) | Role::ListenCrowd(_) | Role::Prefork { .. } | Role::Delegate { .. })
    }
}

pub(crate) fn send(bytes: u64, chunk: usize) -> Step {
    send_by(Sending::Plain, bytes, chunk)
}

pub(crate) fn send_by(how: Sending, bytes: u64, chunk: usize) -> Step {
    Step::Send { how, bytes, chunk }
}

pub(crate) fn receive(bytes: u64) -> Step {
    Step::Receive { how: Receiving::Plain, bytes: Some(bytes), chunk: CHUNK }
}

pub(crate) fn receive_all() -> Step {
    receive_all_by(Receiving::Plain, CHUNK)
}

pub(crate) fn receive_all_by(how: Receiving, chunk: usize) -> Step {
    Step::Receive { how, bytes: None, chunk }
}
