//! What a backend hands on: bytes with their owners, and what it could not see. Plain data.

use std::sync::Arc;

use super::Health;
use super::packet::Endpoints;

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

/// Whom bytes belong to: a user, and as far as it was asked for and is known his process, program and unit.
///
/// This is the one key of all accounts: the ledger, the book, records and backends tell accounts apart by these fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The user.
    pub user: User,
    /// The process. One has its program, too.
    pub process: Option<Process>,
    /// The last part of the path of the program.
    pub program: Option<Arc<str>>,
    /// The systemd unit or container.
    pub unit: Option<Unit>,
    /// The class of the network that the peer is in.
    pub class: Option<Arc<str>>,
}

impl Owner {
    /// A local connection whose owner could not be found.
    pub const UNATTRIBUTED: Self = Self::whole(User::Unattributed);
    /// Bytes for which there was no room to keep an owner.
    pub const OTHER: Self = Self::whole(User::Other);

    /// The user with this number. Where more was asked for: those of his bytes of which no more is known.
    #[must_use]
    pub const fn user(uid: u32) -> Self {
        Self::whole(User::Uid(uid))
    }

    const fn whole(user: User) -> Self {
        Self { user, process: None, program: None, unit: None, class: None }
    }

    /// The same owner in a class.
    #[must_use]
    pub fn in_class(self, class: Option<Arc<str>>) -> Self {
        Self { class, ..self }
    }

    /// The user's number, if there is a user.
    #[must_use]
    pub const fn uid(&self) -> Option<u32> {
        match self.user {
            User::Uid(uid) => Some(uid),
            User::Unattributed | User::Other => None,
        }
    }

    /// Whether more is told than the user.
    #[must_use]
    pub const fn is_fine(&self) -> bool {
        self.process.is_some() || self.program.is_some() || self.unit.is_some()
    }
}

/// Which user bytes belong to, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum User {
    /// The one with this number, in the user namespace of the service.
    Uid(u32),
    /// Of a local connection whose owner could not be found.
    Unattributed,
    /// Nobody: there was no room to keep an owner.
    Other,
}

/// A process, told apart from all that had its number before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// Its number, in the pid namespace of the service.
    pub pid: u32,
    /// When it was started, in nanoseconds since boot.
    pub started_ns: u64,
}

/// A systemd unit or container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// The cgroup with this id. Backends know no better; it gets its name behind them.
    Cgroup(u64),
    /// All cgroups of this name.
    Named(Arc<str>),
}

/// Where the counters of the kernel stood, so that whoever keeps the bytes of a batch can keep, in the same transaction, what they
/// were taken from: then the next process knows what of these counters is still to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// Which counters: those of another name all began at 0, and what is kept of the former can be forgotten.
    pub map: Arc<str>,
    /// The rows that changed, by number, as they stand now. One with nothing is forgotten.
    pub rows: Vec<(u32, Bytes)>,
}

impl Baseline {
    /// The name of no counters: bytes were kept last that were taken from none that outlive a process. Whatever counted meanwhile
    /// has counted the same bytes.
    pub const ELSEWHERE: &str = "none";

    /// Puts later rows of the same counters to these.
    pub fn add(&mut self, later: Self) {
        let mut rows: std::collections::BTreeMap<u32, Bytes> = self.rows.drain(..).collect();
        rows.extend(later.rows);
        self.rows = rows.into_iter().collect();
    }
}

/// Where connections stood when a process ended that keeps nothing in the kernel. Each backend has notes of its own, and heeds no
/// others: they are of positions that it has not counted to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenNotes {
    /// The eBPF backend's.
    pub streams: Vec<StreamNote>,
    /// The packet backend's.
    pub flows: Vec<FlowNote>,
    /// Which connections that followed: its notes are not heeded where it follows others.
    pub scope: String,
}

/// Where a connection stood that the eBPF backend followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamNote {
    /// Position up to which sent bytes were counted. Positions are those of `trafcalc_common::maps::Stream`.
    pub sent: u64,
    /// Position up to which received bytes were counted.
    pub received: u64,
    /// The position before the first byte sent; with the next it tells connections apart.
    pub sent_base: u32,
    /// The position before the first byte received.
    pub received_base: u32,
    /// Flags of the stream.
    pub flags: u32,
}

/// Where a connection stood that the packet backend followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowNote {
    /// The cookie of its socket, of which the kernel gives each only once between two starts of the host.
    pub cookie: u64,
    /// Which connection.
    pub endpoints: Endpoints,
    /// Whose bytes, if that was known.
    pub uid: Option<u32>,
    /// The number of the next byte sent that was not counted.
    pub sent: u32,
    /// The number of the next byte received that was not counted.
    pub received: u32,
    /// The socket's total of acknowledged bytes (`bytes_acked`) is this or less when all bytes before `sent` are acknowledged.
    pub sent_total: u64,
    /// The socket's total of received bytes (`bytes_received`) is this or less when all bytes before `received` have arrived.
    pub received_total: u64,
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
    /// Interfaces that were named and are not there now.
    pub absent_interfaces: Vec<String>,
    /// What this batch's bytes were taken from, where counters outlive the process.
    pub baseline: Option<Baseline>,
    /// In the last batch: the connections that are open, where counters do not outlive the process.
    pub open: OpenNotes,
}
