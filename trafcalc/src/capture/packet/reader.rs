//! The thread that reads the rings into the table of connections. It never waits for anybody: questions about owners
//! go to another thread, and who wants to know what was counted gets an answer when the rings are read up to that
//! moment.

use std::cell::OnceCell;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;

use super::PROC;
use super::finding::{Finding, Found, Question};
use super::flows::{Flows, Sighting};
use super::interfaces::Interfaces;
use super::ring::{AnchorRing, BulkRing, Packet, RETIRE_MS};
use super::segment::{NotASegment, parse};
use super::socket::PacketSocket;
use crate::capture::alive::is_gone;
use crate::capture::{Batch, CaptureError, Hierarchy, Owner};

/// Longest pause between two looks at the anchors, for which nothing wakes the reader.
const LONGEST_WAIT_MS: u64 = 100;
/// Everything captured before a moment is in the rings' readable part after this: the kernel looks at an open block
/// every [`RETIRE_MS`] and hands it over the second time at the latest (`prb_retire_rx_blk_timer_expired`).
const SETTLED_AFTER: Duration = Duration::from_millis(2 * RETIRE_MS as u64 + 10);
/// A segment that is read so long after it passed is late: the bulk ring's usual delay is shorter.
const LATE_NS: u64 = 250_000_000;
/// How much longer a request waits while there are always more packets.
const OVERLOAD_PATIENCE: Duration = Duration::from_millis(500);
/// Pause between two sweeps of the table.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);
/// How long the last batch waits for owners that are still being looked up.
const LAST_LOOKUPS: Duration = Duration::from_millis(500);
/// Blocks read between two looks at everything else: half of the default ring.
const BLOCKS_PER_ROUND: usize = 32;

/// What the reader is asked for.
pub enum Request {
    /// What was counted since the last time.
    Collect(SyncSender<Batch>),
    /// The same, with every owner decided; then the reader ends.
    Finish(SyncSender<Batch>),
    /// To count these users, too.
    Want(Vec<u32>),
}

/// The two rings with their sockets.
pub struct Rings {
    /// Socket of the bulk ring.
    pub bulk_socket: Arc<PacketSocket>,
    /// Segments.
    pub bulk: BulkRing,
    /// Socket of the anchor ring.
    pub anchor_socket: Arc<PacketSocket>,
    /// SYN, FIN, RST and milestones.
    pub anchors: AnchorRing,
}

/// What the thread works with.
pub struct Reader {
    /// Where packets come from.
    pub rings: Rings,
    /// Where they go.
    pub flows: Flows,
    /// Keeps the filters true to the names of interfaces.
    pub interfaces: Interfaces,
    /// Requests, announced by `wake`.
    pub requests: Receiver<Request>,
    /// Wakes this thread.
    pub wake: Arc<EventFd>,
    /// Questions to the owner thread, announced by `wake_owners`.
    pub questions: SyncSender<Question>,
    /// Wakes the owner thread.
    pub wake_owners: Arc<EventFd>,
    /// Its answers.
    pub findings: Receiver<Finding>,
    /// What the searching thread found.
    pub found: Receiver<Found>,
    /// What time counts from.
    pub start: Instant,
}

/// What the reader does beside reading.
enum Task {
    Nothing,
    /// Serves the request once the rings are read up to its moment.
    CatchUp {
        until: Instant,
        request: Request,
    },
    /// Gives the owner thread a last chance.
    LastLookups {
        until: Instant,
        reply: SyncSender<Batch>,
    },
    /// All is done.
    End,
}

impl Task {
    /// Whether packets come faster than they are read: then the request is served as well as can be.
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
    /// Works until it is asked to finish, or nobody is left to ask.
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
            // Taken before the rings are read, which then show the SYN of each: it is there before its owner is known.
            // What was searched for was a finding before.
            let found: Vec<Found> = self.found.try_iter().collect();
            let findings: Vec<Finding> = self.findings.try_iter().collect();
            let is_caught_up = self.read_rings();
            self.take_losses()?;
            self.learn(&findings, &found);
            if Instant::now() >= next_sweep {
                self.interfaces.refresh()?;
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
        ];
        match poll(&mut sources, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(CaptureError::System { what: "waiting for packets", source: errno.into() }),
        }
        // Before the request is looked for, so that one that comes in between is announced again.
        if sources[1].any() == Some(true) {
            let _ = self.wake.read();
        }
        Ok(())
    }

    /// Reads what there is, within a bound; gives whether that was all. The anchors are read before each block, so
    /// that a connection's SYN is known before its segments.
    fn read_rings(&mut self) -> bool {
        let now = Now { ms: self.now_ms(), wall_ns: wall_ns() };
        let Self { rings, flows, interfaces, .. } = self;
        for _ in 0..BLOCKS_PER_ROUND {
            let is_ready = rings.bulk.is_ready();
            rings.anchors.drain(|packet| observe(flows, interfaces, &packet, now));
            if !is_ready {
                return true;
            }
            rings.bulk.read_block(|packet| observe(flows, interfaces, &packet, now));
        }
        false
    }

    fn take_losses(&mut self) -> Result<(), CaptureError> {
        let bulk = self.rings.bulk_socket.take_drops()?;
        let anchors = self.rings.anchor_socket.take_drops()?;
        self.flows.observe_loss(bulk + anchors, anchors);
        Ok(())
    }

    fn learn(&mut self, findings: &[Finding], found: &[Found]) {
        let now_ms = self.now_ms();
        for finding in findings {
            self.flows.learn(finding, now_ms);
        }
        for found in found {
            self.flows.learn_more(found);
        }
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
            Task::Nothing => self.next_task(now),
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
                let questions = self.flows.open_questions();
                self.ask(questions);
                Task::LastLookups { until: now + LAST_LOOKUPS, reply }
            }
            Task::LastLookups { reply, .. } => {
                self.flows.conclude();
                let _ = reply.send(self.batch());
                Task::End
            }
            Task::End => Task::End,
        }
    }

    fn next_task(&mut self, now: Instant) -> Task {
        match self.requests.try_recv() {
            Ok(request) => Task::CatchUp { until: now + SETTLED_AFTER, request },
            Err(TryRecvError::Empty) => Task::Nothing,
            Err(TryRecvError::Disconnected) => Task::End,
        }
    }

    /// Whether nothing is left to wait for. While owners are open, they are asked for again.
    fn is_settled(&mut self, task: &Task) -> bool {
        if !matches!(task, Task::LastLookups { .. }) {
            return false;
        }
        let questions = self.flows.open_questions();
        let is_settled = questions.is_empty() && !self.flows.is_searching();
        self.ask(questions);
        is_settled
    }

    fn batch(&mut self) -> Batch {
        self.flows.sweep(self.now_ms());
        let (credits, gone) = (self.flows.take_credits(), self.flows.take_gone());
        let absent_interfaces = self.interfaces.absent().map(str::to_owned).collect();
        Batch { credits, gone, health: self.flows.health(), absent_interfaces, ..Batch::default() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Says of owners whether they are gone; looks for cgroups at most once.
fn gone() -> impl FnMut(&Owner) -> bool {
    let proc = Path::new(PROC);
    let cgroups = OnceCell::new();
    move |owner| is_gone(proc, owner, || cgroups.get_or_init(|| Hierarchy::mounted(&proc.join("mounts")).cgroups()))
}

/// One moment, by both clocks.
#[derive(Clone, Copy)]
struct Now {
    /// Milliseconds since the start.
    ms: u64,
    /// Nanoseconds of the wall clock, by which packets are stamped.
    wall_ns: u64,
}

fn wall_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

fn observe(flows: &mut Flows, interfaces: &Interfaces, packet: &Packet<'_>, now: Now) {
    if interfaces.is_bridge_port(packet.interface) {
        return;
    }
    match parse(packet.bytes, packet.packet_bytes, packet.direction) {
        Ok(segment) => {
            let Packet { time_ns, interface, .. } = *packet;
            let is_late = time_ns + LATE_NS < now.wall_ns;
            let sighting = Sighting { segment, time_ns, interface, is_late };
            flows.observe(&sighting, now.ms);
        }
        Err(NotASegment::Malformed) => flows.observe_malformed(),
        Err(NotASegment::NotTcp) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::searches::Searches;
    use super::super::segment::Direction;
    use super::super::testing::{PacketSpec, settings};
    use super::*;

    #[test]
    fn a_damaged_packet_is_counted_in_health_and_in_no_account() {
        let interfaces = Interfaces::new(&settings(), false);
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
            observe(&mut flows, &interfaces, &packet, Now { ms: 0, wall_ns: 0 });
        }
        flows.conclude();
        assert_eq!(flows.take_credits(), []);
        assert_eq!(flows.health().malformed_packets, 5);
    }
}
