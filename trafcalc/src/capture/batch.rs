//! What a backend reports: bytes with their owners, and what it could not see. Plain data.

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

/// Whom bytes belong to: a user and, as far as it was asked for and is known, the process, program and unit.
///
/// This is the key of all accounts: the ledger, the book, records and backends tell accounts apart by these fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The user.
    pub user: User,
    /// The process. If it is set, so is the program.
    pub process: Option<Process>,
    /// The base name of the executable.
    pub program: Option<Arc<str>>,
    /// The systemd unit or container.
    pub unit: Option<Unit>,
    /// The class of the network that the peer is in.
    pub class: Option<Arc<str>>,
}

impl Owner {
    /// Bytes of a local connection whose owner could not be found.
    pub const UNATTRIBUTED: Self = Self::whole(User::Unattributed);
    /// Bytes for which there was no room to keep an owner.
    pub const OTHER: Self = Self::whole(User::Other);

    /// The user with this uid. Where accounts are told apart by more, this one has the user's bytes of which no more is known.
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

    /// The uid, if there is a user.
    #[must_use]
    pub const fn uid(&self) -> Option<u32> {
        match self.user {
            User::Uid(uid) => Some(uid),
            User::Unattributed | User::Other => None,
        }
    }

    /// Whether it has more than the user.
    #[must_use]
    pub const fn is_fine(&self) -> bool {
        self.process.is_some() || self.program.is_some() || self.unit.is_some()
    }
}

/// The user whom bytes belong to, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum User {
    /// The user with this uid, in the user namespace of the service.
    Uid(u32),
    /// None: the owner of a local connection could not be found.
    Unattributed,
    /// None: there was no room to keep an owner.
    Other,
}

/// A process, distinct from earlier ones with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// Its id, in the pid namespace of the service.
    pub pid: u32,
    /// When it was started, in nanoseconds since boot.
    pub started_ns: u64,
}

/// A systemd unit or container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// The cgroup with this id. Backends report units like this; the name is looked up later.
    Cgroup(u64),
    /// All cgroups of this name.
    Named(Arc<str>),
}

/// The values of the kernel's counters from which the bytes of a batch were taken. The book stores them in the same transaction as the
/// bytes, so the next process knows which bytes of these counters are still to be reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// The name of the counters. Counters of another name all began at 0, and what was stored of former ones can be forgotten.
    pub map: Arc<str>,
    /// The rows that changed, by number, with their totals. A row with total 0 is forgotten.
    pub rows: Vec<(u32, Bytes)>,
}

impl Baseline {
    /// The name that stands for none: the last stored bytes came from counters that do not outlive a process. Pinned counters may have
    /// counted the same bytes meanwhile.
    pub const ELSEWHERE: &str = "none";

    /// Adds later rows of the same counters.
    pub fn add(&mut self, later: Self) {
        let mut rows: std::collections::BTreeMap<u32, Bytes> = self.rows.drain(..).collect();
        rows.extend(later.rows);
        self.rows = rows.into_iter().collect();
    }
}

/// Positions of open connections when a process ended that leaves nothing in the kernel. Each backend has notes of its own, and ignores
/// the other's, because they are positions that it has not counted to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenNotes {
    /// The eBPF backend's.
    pub streams: Vec<StreamNote>,
    /// The packet backend's.
    pub flows: Vec<FlowNote>,
    /// Which connections the packet backend followed. It ignores the notes if it follows others now.
    pub scope: String,
}

/// The position of a connection that the eBPF backend followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamNote {
    /// Position up to which sent bytes were counted. Positions are those of `trafcalc_common::maps::Stream`.
    pub sent: u64,
    /// Position up to which received bytes were counted.
    pub received: u64,
    /// The position before the first byte sent. Together with the next field it identifies a connection.
    pub sent_base: u32,
    /// The position before the first byte received.
    pub received_base: u32,
    /// Flags of the stream.
    pub flags: u32,
}

/// The position of a connection that the packet backend followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowNote {
    /// The cookie of its socket, which the kernel does not reuse until the host is restarted.
    pub cookie: u64,
    /// The addresses and ports.
    pub endpoints: Endpoints,
    /// The user of the connection, if known.
    pub uid: Option<u32>,
    /// The sequence number of the next sent byte that was not counted.
    pub sent: u32,
    /// The sequence number of the next received byte that was not counted.
    pub received: u32,
    /// The socket's total of acknowledged bytes (`bytes_acked`) is this or less when all bytes before `sent` are acknowledged.
    pub sent_total: u64,
    /// The socket's total of received bytes (`bytes_received`) is this or less when all bytes before `received` have arrived.
    pub received_total: u64,
}

/// What a backend counted since the last batch, and its health since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Bytes by owner since the last batch; an owner may occur more than once.
    pub credits: Vec<(Owner, Bytes)>,
    /// Owners that are gone: this batch has their last credits.
    pub gone: Vec<Owner>,
    /// Health since the start.
    pub health: Health,
    /// Interfaces that the settings name and that do not exist now.
    pub absent_interfaces: Vec<String>,
    /// The counters that this batch's bytes were taken from, if they outlive the process.
    pub baseline: Option<Baseline>,
    /// In the last batch: the positions of open connections, if counters do not outlive the process.
    pub open: OpenNotes,
}
