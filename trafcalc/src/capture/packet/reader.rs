//! The thread that reads the rings into the table of connections. It never waits for another thread: questions about owners go to the owner
//! thread, and a request for what was counted is answered once the rings are read up to its time.

use std::cell::OnceCell;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;

use super::PROC;
use super::diag::SockDiag;
use super::finding::{Finding, Found, Question};
use super::flows::{Flows, Sighting};
use super::interfaces::Interfaces;
use super::network::ends;
use super::ring::{AnchorRing, BulkRing, Packet, RETIRE_MS};
use super::segment::{Direction, NotASegment, parse};
use super::socket::PacketSocket;
use super::timeline::{Event, Timeline};
use crate::capture::alive::is_gone;
use crate::capture::{Batch, CaptureError, Hierarchy, OpenNotes, Owner};

/// Longest pause between two looks at the anchors, which do not wake the reader.
const LONGEST_WAIT_MS: u64 = 100;
/// A segment becomes readable in the bulk ring within this many milliseconds: the kernel checks an open block every [`RETIRE_MS`] and hands
/// it over at the second check at the latest (`prb_retire_rx_blk_timer_expired`).
const BULK_DELAY_MS: u64 = 2 * RETIRE_MS as u64 + 5;
/// What was captured before a moment has been observed after this.
const SETTLED_AFTER: Duration = Duration::from_millis(BULK_DELAY_MS + 5);
/// How much longer a request waits while more packets keep coming.
const OVERLOAD_PATIENCE: Duration = Duration::from_millis(500);
/// Pause between two sweeps of the table.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);
/// How long the last batch waits for owners that are still being looked up.
const LAST_LOOKUPS: Duration = Duration::from_millis(500);
/// Blocks read between looks at everything else: half of the smallest ring, so that losses are known before it is read around once.
const BLOCKS_PER_ROUND: usize = 8;
/// Least time between two lists of all connections after losses: packets wait while the kernel makes a list.
const LIST_PAUSE: Duration = Duration::from_secs(10);
/// Connections about which the reader asks the kernel in a round; each takes some 20 us.
const DOUBTS_PER_ROUND: usize = 64;

/// A request to the reader.
pub enum Request {
    /// What was counted since the last time.
    Collect(SyncSender<Batch>),
    /// The same, with every owner decided; then the reader ends.
    Finish(SyncSender<Batch>),
    /// Count these users, too.
    Want(Vec<u32>),
}

/// The two rings with their sockets.
pub struct Rings {
    /// Socket of the bulk ring.
    pub bulk_socket: Arc<PacketSocket>,
    /// All but anchors.
    pub bulk: BulkRing,
    /// Socket of the anchor ring.
    pub anchor_socket: Arc<PacketSocket>,
    /// SYN, FIN, RST and milestones.
    pub anchors: AnchorRing,
}

/// The state of the thread.
pub struct Reader {
    /// Where packets come from.
    pub rings: Rings,
    /// Where they go.
    pub flows: Flows,
    /// Events that wait for earlier segments.
    pub timeline: Timeline,
    /// Asks the kernel for totals.
    pub diag: SockDiag,
    /// Which connections are followed.
    pub scope: String,
    /// Keeps the filters in step with interface names.
    pub interfaces: Interfaces,
    /// Requests, announced by `wake`.
    pub requests: Receiver<Request>,
    /// Wakes this thread.
    pub wake: Arc<EventFd>,
    /// Questions to the owner thread, announced by `wake_owners`.
    pub questions: SyncSender<Question>,
    /// Wakes the owner thread.
    pub wake_owners: Arc<EventFd>,
    /// Its answers, and when they were given, in nanoseconds of the wall clock.
    pub findings: Receiver<(u64, Finding)>,
    /// The answers of the search thread.
    pub found: Receiver<Found>,
    /// Time counts from here.
    pub start: Instant,
    /// When the kernel was last asked for a list of all connections after a loss.
    pub listed: Option<Instant>,
}

/// What the reader does besides reading.
enum Task {
    Nothing,
    /// Serves the request once the rings are read up to its time.
    CatchUp {
        until: Instant,
        request: Request,
    },
    /// Reads the rings once more, and gives the owner thread a last chance.
    LastLookups {
        from: Instant,
        until: Instant,
        reply: SyncSender<Batch>,
    },
    /// All is done.
    End,
}

impl Task {
    /// Whether packets come faster than they are read. The request is then served with what is known.
    fn is_overdue(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::End => false,
            Self::CatchUp { until, .. } | Self::LastLookups { until, .. } => {
                Instant::now() > *until + OVERLOAD_PATIENCE
            }
        }
    }

    fn wait_ms(&self, now: Instant) -> u64 {
        let until = match self {
            Self::Nothing | Self::End => return LONGEST_WAIT_MS,
            Self::CatchUp { until, .. } | Self::LastLookups { until, .. } => *until,
        };
        let left_ms = until.saturating_duration_since(now).as_millis();
        u64::try_from(left_ms).unwrap_or(u64::MAX).saturating_add(1).min(u64::from(RETIRE_MS))
    }
}

impl Reader {
    /// Works until it is asked to finish, or no sender is left.
    pub fn run(mut self) -> Result<(), CaptureError> {
        let outcome = self.read_until_the_end();
        let wake_owners = Arc::clone(&self.wake_owners);
        drop(self);
        // The owner thread sees that no question can come any more, and ends.
        let _ = wake_owners.write(1);
        outcome
    }

    fn read_until_the_end(&mut self) -> Result<(), CaptureError> {
        let mut task = Task::Nothing;
        let mut next_sweep = self.start;
        while !matches!(task, Task::End) {
            self.wait(&task)?;
            self.interfaces.follow_changes()?;
            self.take_answers();
            // Before the rings are read: lost packets passed before those seen then.
            self.take_losses()?;
            let is_caught_up = self.read_rings();
            self.ask_for_totals();
            if Instant::now() >= next_sweep {
                let now_ms = self.now_ms();
                self.flows.sweep(now_ms);
                self.flows.drop_gone(now_ms, gone());
                next_sweep = Instant::now() + SWEEP_PAUSE;
            }
            let questions = self.flows.take_questions(self.now_ms());
            self.ask(questions);
            task = if is_caught_up || task.is_overdue() { self.go_on_with(task) } else { task };
        }
        Ok(())
    }

    fn wait(&self, task: &Task) -> Result<(), CaptureError> {
        let timeout = PollTimeout::try_from(task.wait_ms(Instant::now())).unwrap_or(PollTimeout::MAX);
        let mut sources = [
            PollFd::new(self.rings.bulk_socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.wake.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.interfaces.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut sources, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(CaptureError::System { what: "waiting for packets", source: errno.into() }),
        }
        // Cleared before the request is read, so that one that comes in between is announced again.
        if sources[1].any() == Some(true) {
            let _ = self.wake.read();
        }
        Ok(())
    }

    /// Takes the answers of the other threads. The anchors are read afterwards, so they show the SYN that each answer is about.
    fn take_answers(&mut self) {
        let room = self.timeline.room_for_answers();
        // Each search follows a finding, taken next.
        let found: Vec<Found> = self.found.try_iter().take(room / 2).collect();
        for (time_ns, finding) in self.findings.try_iter().take(room / 2) {
            self.timeline.hold_answer(time_ns, Event::Finding(finding));
        }
        let now_ns = wall_ns();
        for found in found {
            self.timeline.hold_answer(now_ns, Event::Found(found));
        }
    }

    /// Reads what there is, within a bound; returns whether that was all. The anchors are read before each block, so that none is missing
    /// that passed before the block's segments.
    fn read_rings(&mut self) -> bool {
        let now_ms = self.now_ms();
        let Self { rings, flows, timeline, interfaces, .. } = self;
        for _ in 0..BLOCKS_PER_ROUND {
            let asked_ns = wall_ns();
            let is_ready = rings.bulk.is_ready();
            if timeline.has_room_for_anchors() {
                rings.anchors.drain(|packet| {
                    if let Some(sighting) = understand(flows, interfaces, &packet) {
                        timeline.hold(sighting);
                    }
                });
            }
            if !is_ready {
                let until_ns = asked_ns.saturating_sub(BULK_DELAY_MS * 1_000_000);
                timeline.release_at(wall_ns(), until_ns, |event| flows.take(&event, now_ms));
                return true;
            }
            // Anchors stamped before the wall clock was set back would hold up those after them.
            timeline.release_at(wall_ns(), 0, |event| flows.take(&event, now_ms));
            rings.bulk.read_block(|packet| {
                if let Some(sighting) = understand(flows, interfaces, &packet) {
                    timeline.release(sighting.time_ns, |event| flows.take(&event, now_ms));
                    flows.observe(&sighting, now_ms);
                }
            });
        }
        false
    }

    /// Asks the kernel itself, because few connections are in doubt, and these may be gone soon.
    fn ask_for_totals(&mut self) {
        for question in self.flows.take_doubts(DOUBTS_PER_ROUND) {
            let asked_ns = wall_ns();
            match self.diag.totals_of(&question) {
                Ok(Some(totals)) => {
                    let told_ns = wall_ns();
                    self.timeline.hold_answer(asked_ns, Event::Totals { question, totals, told_ns });
                }
                Ok(None) => {}
                Err(error) => tracing::debug!("{error}"),
            }
        }
    }

    fn take_losses(&mut self) -> Result<(), CaptureError> {
        let bulk = self.rings.bulk_socket.take_drops()?;
        let anchors = self.rings.anchor_socket.take_drops()?;
        self.flows.observe_loss(bulk + anchors, anchors, wall_ns());
        Ok(())
    }

    fn ask(&mut self, questions: Vec<Question>) {
        if questions.is_empty() {
            return;
        }
        for question in questions {
            if self.questions.try_send(question).is_err() {
                self.flows.observe_delayed_question();
            }
        }
        let _ = self.wake_owners.write(1);
    }

    fn go_on_with(&mut self, task: Task) -> Task {
        let now = Instant::now();
        match task {
            Task::Nothing => self.next_task(),
            Task::CatchUp { until, .. } | Task::LastLookups { until, .. } if now < until && !self.is_settled(&task) => {
                task
            }
            Task::CatchUp { request: Request::Collect(reply), .. } => {
                let _ = reply.send(self.batch());
                Task::Nothing
            }
            Task::CatchUp { request: Request::Want(users), .. } => {
                self.flows.want(&users);
                Task::Nothing
            }
            Task::CatchUp { request: Request::Finish(reply), .. } => {
                self.take_note();
                Task::LastLookups { from: now + SETTLED_AFTER, until: now + LAST_LOOKUPS, reply }
            }
            Task::LastLookups { reply, .. } => {
                let now_ms = self.now_ms();
                self.timeline.release(u64::MAX, |event| self.flows.take(&event, now_ms));
                self.flows.conclude();
                let (flows, scope) = (self.flows.take_notes(), std::mem::take(&mut self.scope));
                let open = OpenNotes { flows, scope, ..OpenNotes::default() };
                let _ = reply.send(Batch { open, ..self.batch() });
                Task::End
            }
            Task::End => Task::End,
        }
    }

    fn next_task(&mut self) -> Task {
        match self.requests.try_recv() {
            Ok(request) => {
                let is_due = self.listed.is_none_or(|listed| listed.elapsed() >= LIST_PAUSE);
                if matches!(request, Request::Finish(_)) || (matches!(request, Request::Collect(_)) && is_due) {
                    self.expect_what_was_lost();
                }
                if matches!(request, Request::Collect(_)) {
                    self.flows.begin_audits();
                    self.ask_for_totals();
                }
                Task::CatchUp { until: Instant::now() + SETTLED_AFTER, request }
            }
            Err(TryRecvError::Empty) => Task::Nothing,
            Err(TryRecvError::Disconnected) => Task::End,
        }
    }

    /// Notes the positions of connections. The rings are read once more afterwards: if another connection between the same endpoints
    /// replaced one before the kernel was asked, they show its beginning.
    fn take_note(&mut self) {
        match self.diag.totals() {
            Ok(totals) => self.flows.take_note(totals),
            Err(error) => {
                tracing::warn!("{error}: what open connections move until the next start is not counted");
            }
        }
    }

    /// After a loss, notes the kernel's totals. They are compared after the rings are read up to now.
    fn expect_what_was_lost(&mut self) {
        if !self.flows.wants_totals() {
            return;
        }
        self.listed = Some(Instant::now());
        match self.diag.totals() {
            Ok(totals) => self.flows.expect(totals),
            Err(error) => tracing::debug!("{error}"),
        }
    }

    /// Whether nothing is left to wait for. Asks again for owners that are still open.
    fn is_settled(&mut self, task: &Task) -> bool {
        let Task::LastLookups { from, .. } = task else { return false };
        let questions = self.flows.open_questions();
        let is_settled = questions.is_empty() && !self.flows.is_searching() && Instant::now() >= *from;
        self.ask(questions);
        is_settled
    }

    fn batch(&mut self) -> Batch {
        self.flows.sweep(self.now_ms());
        self.flows.compare();
        let (credits, gone) = (self.flows.take_credits(), self.flows.take_gone());
        let absent_interfaces = self.interfaces.absent().map(str::to_owned).collect();
        Batch { credits, gone, health: self.flows.health(), absent_interfaces, ..Batch::default() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Whether owners are gone, as a function that reads cgroups at most once.
fn gone() -> impl FnMut(&Owner) -> bool {
    let proc = Path::new(PROC);
    let cgroups = OnceCell::new();
    move |owner| is_gone(proc, owner, || cgroups.get_or_init(|| Hierarchy::mounted(&proc.join("mounts")).cgroups()))
}

/// The time in nanoseconds of the wall clock.
pub fn wall_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// The segment in a packet, if there is one to count.
fn understand(flows: &mut Flows, interfaces: &mut Interfaces, packet: &Packet<'_>) -> Option<Sighting> {
    if !interfaces.counts(packet.interface) {
        return None;
    }
    match parse(packet.bytes, packet.packet_bytes, packet.direction) {
        Ok(segment) => Some(Sighting { segment, time_ns: packet.time_ns, interface: packet.interface }),
        Err(NotASegment::Malformed) => {
            flows.observe_malformed();
            if packet.direction == Direction::Outgoing
                && let Some(ends) = ends(packet.bytes)
            {
                flows.observe_unread(ends, packet.packet_bytes, |source| {
                    interfaces.has_address(source, packet.interface)
                });
            }
            None
        }
        Err(NotASegment::NotTcp) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::searches::Searches;
    use super::super::testing::{PacketSpec, settings};
    use super::*;

    #[test]
    fn a_damaged_packet_is_counted_in_health_and_in_no_account() {
        let mut interfaces = Interfaces::new(&settings(), false).unwrap();
        let mut flows = Flows::new(16, Searches::default());
        let whole = PacketSpec::default().bytes();
        for captured_bytes in [0, 1, 19, 20, 33] {
            let packet = Packet {
                bytes: &whole[..captured_bytes],
                packet_bytes: u32::try_from(whole.len()).unwrap(),
                direction: Direction::Outgoing,
                time_ns: 1,
                interface: u32::MAX,
            };
            assert_eq!(understand(&mut flows, &mut interfaces, &packet), None);
        }
        flows.conclude();
        assert_eq!(flows.take_credits(), []);
        assert_eq!(flows.health().malformed_packets, 5);
        assert_eq!((flows.health().unread_bytes, flows.health().gaps), (0, 0), "it was not sent by this host");
    }

    #[test]
    fn what_this_host_sent_and_cannot_be_read_is_a_gap_with_a_number_of_bytes() {
        let mut interfaces = Interfaces::new(&settings(), false).unwrap();
        let mut flows = Flows::new(16, Searches::default());
        let mut packet = PacketSpec::default().bytes();
        packet[12..16].copy_from_slice(&[127, 0, 0, 1]);
        // The first fragment, which ends before the flags.
        packet[6] = 0x20;
        for (direction, packet_bytes) in
            [(Direction::Outgoing, 28), (Direction::Outgoing, 30), (Direction::Incoming, 9)]
        {
            let packet = Packet {
                bytes: &packet[..28],
                packet_bytes: 1000 + packet_bytes,
                direction,
                time_ns: 1,
                interface: u32::MAX,
            };
            assert_eq!(understand(&mut flows, &mut interfaces, &packet), None);
        }
        assert_eq!((flows.health().unread_bytes, flows.health().gaps), (2058, 1));
    }
}
