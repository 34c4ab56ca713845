//! The packet backend: counts from the headers of the segments that this host sends, on any kernel since 3.2.
//!
//! A segment's sequence number tells the bytes sent, its acknowledgement number those received in order; both are
//! this kernel's own, so nobody on the net can forge them, and retransmissions, duplicates, or packets that the
//! capture lost change nothing once a later segment is seen. It must never add up lengths of packets.

mod booking;
mod diag;
mod filter;
pub mod finding;
pub mod flow;
pub mod flows;
mod holders;
mod interfaces;
mod lifetime;
mod owners;
mod ports;
mod reader;
mod ring;
mod search;
pub mod searches;
pub mod segment;
mod socket;
mod syns;
#[cfg(test)]
mod testing;
mod urgency;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use caps::{CapSet, Capability};
use nix::sys::eventfd::{EfdFlags, EventFd};

use self::diag::{Owned, SockDiag};
use self::finding::{Outcome, Question, Sought};
use self::flows::Flows;
use self::interfaces::Interfaces;
use self::owners::{Owners, SearchLine};
use self::reader::{Reader, Request, Rings};
use self::ring::{AnchorRing, BulkRing};
use self::search::Search;
use self::searches::Searches;
use super::{
    Alarm, Attach, Backend, BackendKind, Batch, CaptureError, Method, PacketSettings, Settings, SubordinateRange,
    owner_of,
};

pub use self::ring::MIN_RING_BYTES;

/// Most questions that wait for the owner thread; a further one is asked a second later. 200 KB.
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
    wake: Arc<EventFd>,
}

impl PacketBackend {
    /// Starts capturing.
    ///
    /// # Errors
    /// What is missing: a capability, memory for the ring.
    pub fn start(settings: &Settings, alarm: &Alarm) -> Result<Self, CaptureError> {
        let mut interfaces = Interfaces::new(&settings.packet, settings.loopback);
        // A packet goes to the sockets in the reverse order of their binding, so its connection is in a ring before
        // the owner thread hears of it.
        let openings = interfaces.open_socket(filter::openings)?;
        openings.bind()?;
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
        let mut flows = Flows::new(settings.packet.max_connections, searches);
        let open = adopt_open_connections(&mut flows, &settings.subordinates)?;
        for (found, sought) in search.find(&open).iter().zip(open) {
            // The thread has a second look at what nobody holds yet.
            let again = search_line.as_ref().filter(|_| found.outcome == Outcome::Nothing);
            if again.is_none_or(|line| line.sought.try_send(sought).is_err()) {
                flows.learn_more(found);
            }
        }
        let is_searching = search_line.is_some();
        if is_searching {
            warn_of_what_cannot_be_searched();
        }
        let subordinates = settings.subordinates.clone();
        let owners =
            Owners::new(openings, Arc::clone(&wake_owners), incoming_questions, findings, search_line, subordinates)?;
        let reader = Reader {
            rings,
            flows,
            interfaces,
            requests: incoming_requests,
            wake: Arc::clone(&wake),
            questions,
            wake_owners,
            findings: incoming_findings,
            found: incoming_found,
            start: Instant::now(),
        };
        let stall = Duration::from_millis(settings.packet.test_stall_ms);
        let read = move || {
            urgency::prefer();
            thread::sleep(stall);
            reader.run()
        };
        spawn(OWNERS, alarm, move || owners.run())?;
        if is_searching {
            spawn(SEARCH, alarm, move || {
                urgency::prefer();
                search.run();
                Ok(())
            })?;
        }
        spawn(READER, alarm, read)?;
        Ok(Self { requests, wake })
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

    fn way(&self) -> Option<(Attach, Method)> {
        None
    }

    fn collect(&mut self) -> Result<Batch, CaptureError> {
        self.request(Request::Collect)
    }

    fn want(&mut self, users: &[u32]) -> Result<(), CaptureError> {
        self.requests.send(Request::Want(users.to_vec())).map_err(|_| CaptureError::ThreadEnded(READER))
    }

    fn finish(&mut self) -> Result<Batch, CaptureError> {
        self.request(Request::Finish)
    }
}

/// Connections that are open already have an owner that can be asked for now, all at once; gives what is to be searched
/// for beside.
fn adopt_open_connections(flows: &mut Flows, subordinates: &[SubordinateRange]) -> Result<Vec<Sought>, CaptureError> {
    let mut sought = Vec::new();
    for Owned { endpoints, interface, uid, inode } in SockDiag::open()?.owned_connections()? {
        let uid = owner_of(subordinates, uid);
        if flows.adopt(endpoints, interface, uid) {
            sought.push(Sought { question: Question { endpoints, birth: 0, interface }, uid, inode });
        }
    }
    Ok(sought)
}

/// Says why nothing will be found beyond one's own processes.
fn warn_of_what_cannot_be_searched() {
    let lacks = |capability| caps::has_cap(None, CapSet::Effective, capability).is_ok_and(|has| !has);
    let needed = [Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH];
    let lacking: Vec<_> = needed.into_iter().filter(|&capability| lacks(capability)).collect();
    if !lacking.is_empty() {
        tracing::warn!(
            ?lacking,
            "the packet backend cannot look at other users' processes: of their bytes only the user is known"
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

/// Runs `work` in a thread of its own; `alarm` hears of its failure, be it a panic. The threads end by themselves, soon
/// after the last batch: nobody has to wait for them.
fn spawn(
    name: &'static str,
    alarm: &Alarm,
    work: impl FnOnce() -> Result<(), CaptureError> + Send + 'static,
) -> Result<(), CaptureError> {
    let alarm = Arc::clone(alarm);
    let watched = move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        if let Err(error) = outcome.unwrap_or(Err(CaptureError::ThreadEnded(name))) {
            alarm(error);
        }
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(watched)
        .map(drop)
        .map_err(|source| CaptureError::System { what: "starting a thread", source })
}

fn system(what: &'static str, errno: nix::errno::Errno) -> CaptureError {
    CaptureError::System { what, source: errno.into() }
}
