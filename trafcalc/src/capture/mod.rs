//! Where bytes come from: the interface between a backend and the rest of the service, and the choice of a backend.
//!
//! A backend is asked "what did you count since I last asked, and what did you lose?". It must never know who asks: nothing here
//! imports configuration, names of users, or destinations of reports.

use std::path::PathBuf;

mod alive;
mod batch;
mod by;
mod cgroups;
mod choice;
mod classes;
#[cfg(feature = "ebpf")]
mod ebpf;
#[cfg(not(feature = "ebpf"))]
#[path = "ebpf/disabled.rs"]
mod ebpf;
mod health;
pub mod packet;
mod subordinates;
mod wanted;

pub use alive::{Stat, stat};
pub use batch::{Baseline, Batch, Bytes, FlowNote, OpenNotes, Owner, Process, StreamNote, Unit, User};
pub use by::{By, Dimension};
pub use cgroups::Hierarchy;
pub use choice::{Declined, Started, Tried, start};
pub use classes::{Class, ClassTable, Classes, Network, NetworkError, REST};
pub use ebpf::release;
pub use health::Health;
pub use packet::Endpoints;
pub use subordinates::{SubordinateRange, owner_of};
pub use wanted::{CreditTo, Wanted};

/// A source of counted bytes.
pub trait Backend: Send {
    /// Which backend it is.
    fn kind(&self) -> BackendKind;

    /// The attach mode and method of the eBPF backend; `None` for other backends.
    fn attach_and_method(&self) -> Option<(Attach, Method)>;

    /// Returns what was counted since the last call, up to the moment of this call. May block for some 50 ms.
    fn collect(&mut self) -> Result<Batch, CaptureError>;

    /// Whether it continues where a former process ended, so that nothing is missing in between.
    fn goes_on(&self) -> bool {
        false
    }

    /// Tells the backend that everything it handed out so far is written. If counters outlive the process, the next process continues
    /// from there; otherwise this does nothing.
    fn reported(&mut self) {}

    /// Also counts these users from now on. They were among the [users to come](Wanted::users_to_come).
    fn want(&mut self, users: &[u32]) -> Result<(), CaptureError>;

    /// Replaces the subordinate ranges. Whether an open connection continues for its new owner depends on the backend.
    fn set_subordinates(&mut self, ranges: &[SubordinateRange]) -> Result<(), CaptureError>;

    /// Stops counting and returns the last batch, in which every pending owner is decided.
    fn finish(&mut self) -> Result<Batch, CaptureError>;
}

/// The backends, with the names that users write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendKind {
    /// Counts inside the kernel.
    Ebpf,
    /// Counts from the packets that this host sends.
    Packet,
}

impl BackendKind {
    /// The word for it in options and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
            Self::Packet => "packet",
        }
    }
}

/// The attach modes of the eBPF backend, with the names that users write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// BPF trampolines on kernel functions.
    Fentry,
    /// Breakpoints on kernel functions.
    Kprobe,
    /// Raw tracepoints.
    Tracepoint,
}

impl Attach {
    /// The word for it in options and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
        }
    }
}

/// When the eBPF programs look at connections, with the names that users write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// At all connections, before each report.
    Sweep,
    /// At each event of a connection.
    Events,
}

impl Method {
    /// The word for it in options and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::Events => "events",
        }
    }
}

/// What to capture. The caller has validated every field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `None`: the first backend that starts.
    pub backend: Option<BackendKind>,
    /// `None`: the first attach mode that works.
    pub attach: Option<Attach>,
    /// Also count connections with both ends on this host.
    pub loopback: bool,
    /// What accounts are told apart by.
    pub by: By,
    /// The classes of networks by which accounts are also told apart.
    pub classes: Classes,
    /// Whose traffic is wanted.
    pub wanted: Wanted,
    /// To which user bytes belong.
    pub credit_to: CreditTo,
    /// Users whose bytes belong to another user; sorted, without overlaps. The users that are [`wanted`](Self::wanted) are owners,
    /// never subordinates.
    pub subordinates: Vec<SubordinateRange>,
    /// How much of the kernel's counters the former process reported, according to its last stored batch; `None` if nothing stores
    /// batches. If the kernel's own note is later, that counts.
    pub former: Option<Baseline>,
    /// The positions of open connections when the former process ended, if it left nothing in the kernel and the host was not restarted
    /// since.
    pub open: OpenNotes,
    /// The eBPF backend's own settings.
    pub ebpf: EbpfSettings,
    /// The packet backend's own settings.
    pub packet: PacketSettings,
}

/// Settings of the eBPF backend: how it looks at connections, and the sizes of its maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EbpfSettings {
    /// `None`: sweep if bytes do not depend on the actor, otherwise also look at each event.
    pub method: Option<Method>,
    /// The limit of connections followed at once. Four fifths of them have a place of 64 bytes from the start; the others take some 100
    /// bytes of kernel memory each when they come. Further ones are counted when they end.
    pub max_connections: usize,
    /// The limit of users with an account of their own; some 170 bytes of kernel memory each, and 16 for every CPU. If accounts are
    /// told apart by more than the user, there are as many further accounts, some 250 bytes each.
    pub max_accounts: usize,
    /// A folder of a BPF file system in which programs and counters are pinned, to outlive the process.
    pub keep: Option<PathBuf>,
    /// For tests of the self-test: changes of state are not hooked, for which nothing compensates.
    pub test_leave_out_states: bool,
    /// For tests of the behaviour on older kernels: programs read sockets by a helper, even if there is a cast.
    pub test_without_cast: bool,
}

impl Default for EbpfSettings {
    /// More connections than most hosts have (17 MB, and 1 MB for the hash), and more accounts than most hosts have users (5 MB on 8
    /// CPUs).
    fn default() -> Self {
        Self {
            method: None,
            max_connections: 327_680,
            max_accounts: 16_384,
            keep: None,
            test_leave_out_states: false,
            test_without_cast: false,
        }
    }
}

/// Settings of the packet backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketSettings {
    /// Names of the interfaces to watch; empty: all.
    pub interfaces: Vec<String>,
    /// Size of the kernel's ring buffer.
    pub ring_bytes: usize,
    /// Most connections followed at once.
    pub max_connections: usize,
    /// For tests: the percentage of segments without SYN, FIN or RST that the kernel's filter drops.
    pub test_drop_percent: u8,
    /// For tests: how long the reader sleeps before its first read, in milliseconds.
    pub test_stall_ms: u64,
    /// For tests of the self-test: the kernel's filter drops every FIN, for which nothing compensates.
    pub test_lose_fins: bool,
}

/// Called once, from any thread, by a backend that can no longer count.
pub type Alarm = std::sync::Arc<dyn Fn(CaptureError) + Send + Sync>;

/// Why a backend did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// A system call failed.
    #[error("{what} failed: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A capability is missing.
    #[error("{what} needs the capability {capability}")]
    Privilege {
        /// What was tried.
        what: &'static str,
        /// The capability's name as capabilities(7) has it.
        capability: &'static str,
    },
    /// A program of the eBPF backend could not be loaded or attached.
    #[error("hooking {hook} failed: {source}")]
    Hook {
        /// The kernel's function or tracepoint.
        hook: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A setting of the host allows no such program.
    #[error("hooking {hook} is refused: {why}")]
    Refused {
        /// The kernel's function or tracepoint.
        hook: &'static str,
        /// The setting, and what would help.
        why: &'static str,
    },
    /// The kernel's type information lacks a field that the eBPF programs read, or has it with another size.
    #[error("this kernel's type information (BTF) has no {structure}.{field} of the expected kind")]
    NoField {
        /// The kernel's structure.
        structure: &'static str,
        /// Its field.
        field: &'static str,
    },
    /// The kernel was built without kprobes.
    #[error("this kernel has no kprobes")]
    NoKprobes,
    /// The kernel lacks a tracepoint that is needed.
    #[error("this kernel has no tracepoint sock_send_length, which came with Linux 6.3")]
    NoTracepoint,
    /// The kernel is older than the first one whose programs can sweep.
    #[error("the ebpf backend needs Linux 5.13 or newer")]
    OldKernel,
    /// The settings name interfaces, but this backend counts on all of them.
    #[error("it counts on all interfaces, and packet.interfaces names some")]
    NamedInterfaces,
    /// This backend cannot see the user that a process acts as.
    #[error("it cannot know as whom a process acts (owner): only the ebpf backend can")]
    CannotSeeActing,
    /// Process ids in this pid namespace differ from the kernel's.
    #[error("processes can only be told apart in the host's own pid namespace")]
    PidNamespace,
    /// The folder of a BPF file system cannot be used.
    #[error("keeping it in {}: {what} failed: {source}", folder.display())]
    Keep {
        /// The folder.
        folder: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The program was built without this backend.
    #[error("this trafcalc was built without it")]
    NotBuilt,
    /// A thread of the backend ended.
    #[error("the thread {0} ended unexpectedly")]
    ThreadEnded(&'static str),
}
