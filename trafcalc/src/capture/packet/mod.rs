//! The packet backend: counts from the headers of the segments that this host sends, on any kernel since 3.2.
//!
//! A segment's sequence number shows the bytes sent, its acknowledgement number those received in order. Both are this kernel's own, so
//! nobody on the network can forge them. Retransmissions, duplicates, and packets that the capture lost change nothing once a later segment
//! is seen. The backend must never add up lengths of packets.
//!
//! It has three sockets, and two or three threads. Every segment that this host sends goes to one of two rings: *anchors* (SYN, FIN and RST
//! of both directions, and a segment every 256 MiB) or *bulk* (the rest). While bulk drops, the anchors keep every cursor right. The reader
//! puts the segments of both in the order of their time stamps (`timeline`), so that a connection begins before its segments and ends after
//! them, however soon another one follows between the same endpoints. The third socket shows SYN, FIN and RST again, to the owner thread,
//! which asks `sock_diag` at once and until the connection is accepted. This thread runs at real-time priority, within a budget that is a
//! fraction of one processor. If accounts are told apart by more than the user, it passes each connection with a user to the search thread,
//! which searches `/proc` for the process that holds the socket: many at a time, likely ones first, within its own budget. Until it has
//! answered, bytes wait in the connection.
//!
//! A question about an owner carries the connection's first sequence number, so that the answer is not applied to a later connection
//! between the same ports. A connection is forgotten when the kernel has forgotten it, not when it is silent: otherwise its next segment
//! would look like a connection in mid-stream, and what the peer had sent would be missed.

mod addresses;
mod asm;
mod audits;
mod booking;
mod claims;
pub mod diag;
mod filter;
pub mod finding;
pub mod flow;
pub mod flows;
mod holders;
mod interfaces;
mod lifetime;
mod network;
mod notes;
mod owners;
mod ports;
mod reader;
mod resets;
mod ring;
mod search;
pub mod searches;
pub mod segment;
mod socket;
mod syns;
#[cfg(test)]
mod testing;
mod timeline;
mod totals;
mod unseen;
mod urgency;
mod waiting;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use caps::{CapSet, Capability};
use nix::sys::eventfd::{EfdFlags, EventFd};

use self::diag::{Connection, SockDiag};
use self::finding::{Outcome, Question, Sought};
use self::flows::Flows;
use self::interfaces::Interfaces;
use self::notes::{FormerNotes, scope};
use self::owners::{Owners, SearchLine, Subordinates};
use self::reader::{Reader, Request, Rings};
use self::ring::{AnchorRing, BulkRing};
use self::search::Search;
use self::searches::Searches;
use self::timeline::Timeline;
use super::{
    Alarm, Attach, Backend, BackendKind, Batch, CaptureError, Method, PacketSettings, Settings, SubordinateRange,
    owner_of,
};

pub use self::ring::MIN_RING_BYTES;
pub use self::segment::Endpoints;

/// Most questions that wait for the owner thread; further ones are asked a second later. 200 KB.
const MAX_QUESTIONS: usize = 4096;
/// Most answers that wait for the reader, which takes them at least ten times a second. 1 MB.
const MAX_FINDINGS: usize = 16_384;
/// Most connections that wait for a search (300 KB); of further ones only the user is known.
const MAX_SOUGHT: usize = 4096;
/// Where processes are looked for.
const PROC: &str = "/proc";
const READER: &str = "packet-reader";
const OWNERS: &str = "packet-owners";
const SEARCH: &str = "packet-search";

/// The backend, as long as it runs.
pub struct PacketBackend {
    requests: Sender<Request>,
    subordinates: Sender<Vec<SubordinateRange>>,
    wake: Arc<EventFd>,
}

impl PacketBackend {
    /// Starts capturing.
    ///
    /// # Errors
    /// What is missing: a capability, memory for the ring.
    pub fn start(settings: &Settings, alarm: &Alarm) -> Result<Self, CaptureError> {
        let mut interfaces = Interfaces::new(&settings.packet, settings.loopback)?;
        // The kernel hands a packet to the sockets in reverse order of their binding, so it is in a ring before the owner thread sees it.
        let beginnings_and_ends = interfaces.open_socket(filter::beginnings_and_ends)?;
        beginnings_and_ends.bind()?;
        let rings = open_rings(&mut interfaces, &settings.packet)?;
        let (requests, incoming_requests) = channel();
        let (questions, incoming_questions) = sync_channel(MAX_QUESTIONS);
        let (findings, incoming_findings) = sync_channel(MAX_FINDINGS);
        let wake = Arc::new(event_fd()?);
        let wake_owners = Arc::new(event_fd()?);
        let (sought, incoming_sought) = sync_channel(MAX_SOUGHT);
        let (found, incoming_found) = sync_channel(MAX_SOUGHT);
        let searches = Searches::new(settings.by, &settings.wanted);
        let search_line = searches.are_needed().then(|| SearchLine { sought, found: found.clone() });
        let mut search = Search::new(PROC, settings, incoming_sought, found);
        let flows = Flows::new(settings.packet.max_connections, searches).by_class(&settings.classes);
        let flows = flows.losing_silently(settings.packet.test_drop_percent > 0);
        let mut flows = flows.seeing_all_since(reader::wall_ns());
        let mut diag = SockDiag::open()?;
        let open = adopt_open_connections(&mut diag, &mut flows, settings)?;
        for (found, sought) in search.find(&open).iter().zip(open) {
            // The search thread looks for unheld sockets again.
            let again = search_line.as_ref().filter(|_| found.outcome == Outcome::Nothing);
            if again.is_none_or(|line| line.sought.try_send(sought).is_err()) {
                flows.learn_more(found);
            }
        }
        let is_searching = search_line.is_some();
        if is_searching {
            warn_of_what_cannot_be_searched();
        }
        let (subordinates, changed) = channel();
        let ranges = Subordinates { ranges: settings.subordinates.clone(), changed };
        let owners = Owners::new(
            beginnings_and_ends,
            Arc::clone(&wake_owners),
            incoming_questions,
            findings,
            search_line,
            ranges,
        )?;
        let reader = Reader {
            rings,
            flows,
            timeline: Timeline::default(),
            diag,
            scope: scope(settings),
            interfaces,
            requests: incoming_requests,
            wake: Arc::clone(&wake),
            questions,
            wake_owners,
            findings: incoming_findings,
            found: incoming_found,
            start: Instant::now(),
            listed: None,
        };
        let stall = Duration::from_millis(settings.packet.test_stall_ms);
        let read = move || {
            thread::sleep(stall);
            reader.run()
        };
        spawn(OWNERS, alarm, urgency::raise, move || owners.run())?;
        if is_searching {
            spawn(SEARCH, alarm, urgency::prefer, move || {
                search.run();
                Ok(())
            })?;
        }
        spawn(READER, alarm, urgency::prefer, read)?;
        Ok(Self { requests, subordinates, wake })
    }

    fn request(&self, request: impl FnOnce(SyncSender<Batch>) -> Request) -> Result<Batch, CaptureError> {
        let (reply, answer): (_, Receiver<Batch>) = sync_channel(1);
        self.requests.send(request(reply)).map_err(|_| CaptureError::ThreadEnded(READER))?;
        self.wake.write(1).map_err(|errno| system("waking the reader", errno))?;
        answer.recv().map_err(|_| CaptureError::ThreadEnded(READER))
    }
}

impl Backend for PacketBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Packet
    }

    fn attach_and_method(&self) -> Option<(Attach, Method)> {
        None
    }

    fn collect(&mut self) -> Result<Batch, CaptureError> {
        self.request(Request::Collect)
    }

    fn want(&mut self, users: &[u32]) -> Result<(), CaptureError> {
        self.requests.send(Request::Want(users.to_vec())).map_err(|_| CaptureError::ThreadEnded(READER))
    }

    fn set_subordinates(&mut self, ranges: &[SubordinateRange]) -> Result<(), CaptureError> {
        self.subordinates.send(ranges.to_vec()).map_err(|_| CaptureError::ThreadEnded(OWNERS))
    }

    fn finish(&mut self) -> Result<Batch, CaptureError> {
        self.request(Request::Finish)
    }
}

/// Adopts the connections that are already open: their owners can be asked for now, all at once. Connections that a former process noted
/// continue from their notes. Returns what else is to be searched for.
fn adopt_open_connections(
    diag: &mut SockDiag,
    flows: &mut Flows,
    settings: &Settings,
) -> Result<Vec<Sought>, CaptureError> {
    let former = FormerNotes::new(&settings.open, &scope(settings));
    let mut sought = Vec::new();
    let connections = diag.connections(!former.is_empty())?;
    let asked_ns = reader::wall_ns();
    for Connection { endpoints, interface, owner, inode, totals } in connections {
        let noted = totals.and_then(|totals| Some((former.of(&endpoints, &totals)?, totals)));
        match (owner.map(|uid| owner_of(&settings.subordinates, uid)), noted) {
            (Some(uid), _) if flows.adopt(endpoints, interface, uid) => {
                sought.push(Sought { question: Question { endpoints, birth: 0, interface }, uid, inode });
            }
            (None, Some((note, totals))) => flows.adopt_unheld(interface, note, &totals),
            _ => {}
        }
        if let Some((note, totals)) = noted {
            flows.go_on_from(note, &totals, asked_ns);
        }
    }
    Ok(sought)
}

/// Warns if only this user's processes can be inspected.
fn warn_of_what_cannot_be_searched() {
    let lacks = |capability| caps::has_cap(None, CapSet::Effective, capability).is_ok_and(|has| !has);
    let needed = [Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH];
    let lacking: Vec<_> = needed.into_iter().filter(|&capability| lacks(capability)).collect();
    if !lacking.is_empty() {
        tracing::warn!(
            ?lacking,
            "the packet backend cannot inspect other users' processes: their bytes are credited to the user only"
        );
    }
}

fn open_rings(interfaces: &mut Interfaces, settings: &PacketSettings) -> Result<Rings, CaptureError> {
    let anchor_socket = interfaces.open_socket(filter::anchors)?;
    let anchors = AnchorRing::new(&anchor_socket)?;
    anchor_socket.bind()?;
    let bulk_socket = interfaces.open_socket(filter::bulk)?;
    let bulk = BulkRing::new(&bulk_socket, settings.ring_bytes)?;
    bulk_socket.bind()?;
    Ok(Rings { bulk_socket, bulk, anchor_socket, anchors })
}

fn event_fd() -> Result<EventFd, CaptureError> {
    EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
        .map_err(|errno| system("making an eventfd", errno))
}

/// Runs `work` in a thread of its own; `alarm` hears of its failure, even of a panic. No thread has to be waited for: they end by
/// themselves soon after the last batch. Returns after `prepare`, which may need privileges that are given up then.
fn spawn(
    name: &'static str,
    alarm: &Alarm,
    prepare: fn(),
    work: impl FnOnce() -> Result<(), CaptureError> + Send + 'static,
) -> Result<(), CaptureError> {
    let alarm = Arc::clone(alarm);
    let (prepared, is_prepared) = sync_channel::<()>(0);
    let watched = move || {
        prepare();
        drop(prepared);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        if let Err(error) = outcome.unwrap_or(Err(CaptureError::ThreadEnded(name))) {
            alarm(error);
        }
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(watched)
        .map_err(|source| CaptureError::System { what: "starting a thread", source })?;
    // Nothing comes: the sender is dropped.
    let _ = is_prepared.recv();
    Ok(())
}

fn system(what: &'static str, errno: nix::errno::Errno) -> CaptureError {
    CaptureError::System { what, source: errno.into() }
}
