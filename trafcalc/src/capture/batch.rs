//! What a backend hands on: bytes with their owners, and what it could not see. Plain data.

use std::sync::Arc;

/// Payload bytes in the two directions, from this host's point of view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Bytes this host sent.
    pub sent: u64,
    /// Bytes this host received.
    pub received: u64,
}

impl Bytes {
    /// Whether nothing moved in either direction.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.sent == 0 && self.received == 0
    }
}

impl std::ops::AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
    }
}

impl std::ops::Sub for Bytes {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { sent: self.sent - other.sent, received: self.received - other.received }
    }
}

/// Whom bytes belong to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The user with this numeric id, in the user namespace of the service. Where more was asked for: those of his bytes
    /// of which no more is known.
    User(u32),
    /// A process with a socket of this user.
    Process(u32, Process),
    /// A program, all its processes with sockets of this user.
    Program(u32, Arc<str>),
    /// The cgroup with this id and a socket of this user. Backends know no better; it gets its name behind them.
    Cgroup(u32, u64),
    /// A systemd unit or container by its name, all its cgroups with sockets of this user.
    Unit(u32, Arc<str>),
    /// A local connection whose owner could not be found.
    Unattributed,
    /// Bytes for which there was no room to keep an owner.
    Other,
}

impl Owner {
    /// The user, if there is one.
    #[must_use]
    pub const fn uid(&self) -> Option<u32> {
        match self {
            Self::User(uid)
            | Self::Process(uid, _)
            | Self::Program(uid, _)
            | Self::Cgroup(uid, _)
            | Self::Unit(uid, _) => Some(*uid),
            Self::Unattributed | Self::Other => None,
        }
    }
}

/// A process, told apart from all that had its number before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// Its number, in the pid namespace of the service.
    pub pid: u32,
    /// When it was started, in nanoseconds since boot.
    pub started_ns: u64,
    /// The last part of the path of its program.
    pub program: Arc<str>,
}

/// What could not be counted or attributed, and why. Every number counts from the start of the service; where the counting goes
/// on without one, those that the kernel half keeps count from the start of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Events that the kernel did not deliver. They make no total wrong unless `gaps` says so.
    pub lost_events: u64,
    /// Connections whose totals may be short, because what was lost was never made good.
    pub gaps: u64,
    /// Bytes credited to [`Owner::Other`] because a table was full.
    pub overflow_bytes: u64,
    /// Bytes whose owner is still being looked up: in no account yet.
    pub pending_bytes: u64,
    /// Bytes credited to the user of the listening socket, because the connection's own socket was gone.
    pub listener_bytes: u64,
    /// Packets that could not be understood.
    pub malformed_packets: u64,
    /// Owner look-ups that were put off because too many were waiting.
    pub delayed_lookups: u64,
    /// Connections older than the service, counted from its start (packet: from the first segment that it saw).
    pub late_connections: u64,
    /// Connections for which a table had no room: ebpf credits them when they end, packet to [`Owner::Other`].
    pub unfollowed_connections: u64,
    /// Bytes credited to a user of which it is not known what was asked for beyond the user.
    pub coarse_bytes: u64,
    /// Connections of which, at their end, the kernel was asked what they had moved.
    pub audited: u64,
    /// Those of which it said something else than was credited.
    pub audit_mismatches: u64,
}

/// Where the counters of the kernel stood, so that whoever keeps the bytes of a batch can keep, in the same transaction, what they
/// were taken from: then the next process knows what of these counters is still to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// Which counters: those of another name all began at 0, and what is kept of the former can be forgotten.
    pub map: String,
    /// The rows that changed, by number, as they stand now.
    pub rows: Vec<(u32, Bytes)>,
}

/// What a backend counted since it was last asked, and its health since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Bytes by owner since the last batch; an owner may come more than once.
    pub credits: Vec<(Owner, Bytes)>,
    /// Owners that are gone: these are their last credits.
    pub gone: Vec<Owner>,
    /// Health since the start.
    pub health: Health,
    /// What this batch's bytes were taken from, where counters outlive the process.
    pub baseline: Option<Baseline>,
}
