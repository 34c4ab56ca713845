//! All connections in view, and the bytes they moved by owner. Pure: packets, findings and time are passed in, so every
//! rule here is tested without a network.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::Ipv6Addr;
use std::sync::Arc;

use super::booking::{book, guess, settle_holder};
use super::claims::Losses;
use super::finding::{Finding, Found, Question, Standing};
use super::flow::{Flow, Holder, Origin, Pending};
use super::ports::PortHistory;
use super::searches::Searches;
use super::segment::{Direction, Endpoints, Segment};
use super::syns::RecentSyns;
use super::timeline::Event;
use super::unseen::Unseen;
use crate::capture::{Bytes, ClassTable, Classes, FlowNote, Health, Owner};

/// Connections that had to make room are remembered this long, for their retransmissions.
const FORGOTTEN_MS: u64 = 1_000;
/// Most of these remembered at once (3 MB); beyond that, none makes room.
const MAX_FORGOTTEN: usize = 65_536;
/// Connections beyond the limit that are counted, but not asked about, so that `(other)` is exact, too: 12 MB, taken only if the table is
/// full.
const SPARE_CONNECTIONS: usize = 65_536;
/// Most questions of one sweep; the next one asks the rest.
const MAX_QUESTIONS_PER_SWEEP: usize = 1024;
/// The owner thread answers about a SYN within a millisecond. After this time it is asked again.
const UNANSWERED_MS: u64 = 20;
/// Most connections watched for an answer; the others are asked about again within a second.
const MAX_UNANSWERED: usize = 4096;
/// Most pairs of addresses with unread packets that count as a gap each (100 KB).
const MAX_UNREAD: usize = 1024;
/// Most look-ups of such sources in a second, each some 5 us.
const MAX_UNREAD_ASKED: u32 = 1024;
/// Pause after a search that found next to no room in a full table.
const ROOM_PAUSE_MS: u64 = 100;

/// One segment and the circumstances of its capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The segment.
    pub segment: Segment,
    /// When it passed, in nanoseconds of the wall clock.
    pub time_ns: u64,
    /// Index of the interface.
    pub interface: u32,
}

/// The connections in view.
#[derive(Debug)]
pub struct Flows {
    pub(super) table: HashMap<Endpoints, Flow>,
    max_connections: usize,
    pub(super) booked: HashMap<Owner, Bytes>,
    questions: Vec<Question>,
    /// Connections whose SYN was just seen, and when.
    unanswered: VecDeque<(Endpoints, u64)>,
    ports: PortHistory,
    pub(super) searches: Searches,
    classes: ClassTable,
    /// The classes in which owners with more than the user have moved bytes.
    in_classes: HashMap<Owner, BTreeSet<Arc<str>>>,
    gone: Vec<Owner>,
    /// Positions of connections a moment ago.
    pub(super) notes: Vec<FlowNote>,
    /// Bytes of forgotten connections for which it is unknown whether they are to be counted.
    undecided_before: u64,
    recent_syns: RecentSyns,
    /// Finished connections that made room for others, and when.
    forgotten: HashMap<Endpoints, u64>,
    no_room_until_ms: u64,
    /// Connections that later ones replaced, and when.
    pub(super) followed: HashMap<Endpoints, (Flow, u64)>,
    pub(super) losses: Losses,
    /// Connections whose totals are wanted from the kernel.
    pub(super) doubts: Vec<Question>,
    /// Addresses between which this host sent packets that could not be read.
    unread: HashSet<(Ipv6Addr, Ipv6Addr)>,
    /// How often a source was looked up since the last sweep.
    unread_asked: u32,
    pub(super) unseen: Unseen,
    pub(super) health: Health,
}

impl Flows {
    /// An empty table for at most `max_connections`, whose owners `searches` finds.
    #[must_use]
    pub fn new(max_connections: usize, searches: Searches) -> Self {
        Self {
            table: HashMap::new(),
            max_connections,
            booked: HashMap::new(),
            questions: Vec::new(),
            unanswered: VecDeque::new(),
            ports: PortHistory::default(),
            searches,
            classes: ClassTable::default(),
            in_classes: HashMap::new(),
            gone: Vec::new(),
            notes: Vec::new(),
            undecided_before: 0,
            recent_syns: RecentSyns::default(),
            forgotten: HashMap::new(),
            no_room_until_ms: 0,
            followed: HashMap::new(),
            losses: Losses::default(),
            doubts: Vec::new(),
            unread: HashSet::new(),
            unread_asked: 0,
            unseen: Unseen::default(),
            health: Health::default(),
        }
    }

    /// The same, with accounts told apart by these classes.
    #[must_use]
    pub fn by_class(self, classes: &Classes) -> Self {
        Self { classes: ClassTable::new(classes), ..self }
    }

    /// The same, having seen all segments since `now_ns` of the wall clock.
    #[must_use]
    pub const fn seeing_all_since(mut self, now_ns: u64) -> Self {
        self.losses.noticed_ns = now_ns;
        self
    }

    /// The same, with packets lost without a report: for tests.
    #[must_use]
    pub const fn losing_silently(mut self, are_silent: bool) -> Self {
        self.losses.are_silent = are_silent;
        self
    }

    /// Observes a captured segment, `now_ms` after the start. Segments come in the order in which they passed.
    pub fn observe(&mut self, sighting: &Sighting, now_ms: u64) {
        match sighting.segment.direction {
            Direction::Incoming => self.observe_incoming(&sighting.segment),
            Direction::Outgoing if sighting.segment.rst => self.observe_reset(sighting, now_ms),
            Direction::Outgoing => self.observe_outgoing(sighting, now_ms),
        }
    }

    /// A connection that was open before the start.
    pub(super) fn adopted(&self, endpoints: &Endpoints, holder: Holder, interface: u32) -> Flow {
        let mut flow = Flow::adopted(holder, interface);
        // Later losses may have hit it.
        flow.born_ns = self.losses.noticed_ns;
        flow.class = self.classes.of(endpoints.remote);
        flow
    }

    /// Adds a connection that was open before the start. Its socket is bound to `interface` (0 if to none) and belongs to the user `uid`.
    /// Returns whether more is to be found out about its owner.
    pub fn adopt(&mut self, endpoints: Endpoints, interface: u32, uid: u32) -> bool {
        // The kernel may list it twice while others come and go.
        if !self.has_place() || self.table.contains_key(&endpoints) {
            return false;
        }
        let holder = self.searches.begin(uid, Bytes::default());
        let is_searching = matches!(holder, Holder::Searching(..));
        let flow = self.adopted(&endpoints, holder, interface);
        self.table.insert(endpoints, flow);
        is_searching
    }

    /// Counts these users, too, from now on. Asks again for the owners of unwanted connections; those that are too many for one sweep are
    /// asked about when they move.
    pub fn want(&mut self, users: &[u32]) {
        self.searches.want(users);
        let unwanted = |flow: &Flow| flow.holder == Holder::Unwanted && !flow.is_over();
        for (endpoints, flow) in self.table.iter_mut().filter(|(_, flow)| unwanted(flow)) {
            flow.holder = Holder::Pending(Pending::default());
            if self.questions.len() < MAX_QUESTIONS_PER_SWEEP {
                self.questions.push(question(endpoints, flow));
            }
        }
    }

    /// Counts a packet that could not be understood.
    pub const fn observe_malformed(&mut self) {
        self.health.malformed_packets += 1;
    }

    /// Counts an outgoing packet of `bytes` between these addresses that may have been a segment, but could not be read.
    ///
    /// `is_local` decides by the source address whether this host sent it or only forwards it. The number of such look-ups in a second is
    /// limited, because anybody may have such packets forwarded.
    pub fn observe_unread(&mut self, ends: (Ipv6Addr, Ipv6Addr), bytes: u32, is_local: impl FnOnce(Ipv6Addr) -> bool) {
        if !self.unread.contains(&ends) {
            if self.unread_asked >= MAX_UNREAD_ASKED {
                return;
            }
            self.unread_asked += 1;
            if !is_local(ends.0) {
                return;
            }
            if self.unread.len() < MAX_UNREAD {
                self.unread.insert(ends);
                self.health.gaps += 1;
            }
        }
        self.health.unread_bytes += u64::from(bytes);
    }

    /// Counts packets that the kernel had no room for, at `now_ns` of the wall clock; `anchors` of them were SYN, FIN, RST or milestones.
    /// Which connections they belonged to, if any, turns out later.
    pub const fn observe_loss(&mut self, packets: u64, anchors: u64, now_ns: u64) {
        if packets > 0 {
            self.losses.noticed_ns = now_ns;
        }
        self.health.lost_events += packets;
        self.unseen.observe(packets, anchors);
    }

    /// Counts a question that could not be asked yet.
    pub const fn observe_delayed_question(&mut self) {
        self.health.delayed_lookups += 1;
    }

    /// Incoming segments move no cursor: they only say where the peer's bytes begin and end.
    fn observe_incoming(&mut self, segment: &Segment) {
        if segment.syn {
            self.recent_syns.note(segment);
        }
        let Some(flow) = self.table.get_mut(&segment.endpoints) else { return };
        if segment.syn && segment.ack.is_some() {
            flow.peer_opened(segment);
        }
        if segment.fin {
            flow.peer_finished(segment);
        }
        if segment.rst {
            flow.reset = true;
        }
    }

    fn observe_outgoing(&mut self, sighting: &Sighting, now_ms: u64) {
        let segment = &sighting.segment;
        self.end_earlier_connection(segment, now_ms);
        match self.table.get_mut(&segment.endpoints) {
            Some(flow) => {
                self.health.late_connections += u64::from(flow.is_unseen());
                flow.seen_ms = now_ms;
                let was_embryonic = flow.embryonic;
                let bytes = flow.settle(segment, sighting.time_ns);
                book(&mut self.booked, flow, bytes);
                let is_established = was_embryonic && !flow.embryonic;
                if is_established && flow.gone {
                    flow.revive();
                    self.questions.push(question(&segment.endpoints, flow));
                }
                if is_established {
                    self.check_beginning(&segment.endpoints);
                } else if flow.doubt.is_some() {
                    self.settle_beginning(segment, sighting.time_ns);
                } else if flow.audit.is_some() {
                    self.finish_audit(segment, sighting.time_ns);
                }
            }
            None => self.open(sighting, now_ms),
        }
    }

    /// Ends the known connection if this segment begins another one: by a SYN, or a number out of reach.
    fn end_earlier_connection(&mut self, segment: &Segment, now_ms: u64) {
        let Some(flow) = self.table.get(&segment.endpoints) else { return };
        if segment.syn && !flow.is_same_opening(segment) {
            self.follow(&segment.endpoints, now_ms);
        } else if !segment.syn && !flow.can_be_of_this_connection(segment) {
            self.forget(&segment.endpoints);
        }
    }

    fn open(&mut self, sighting: &Sighting, now_ms: u64) {
        let segment = &sighting.segment;
        if !segment.syn && self.forgotten.contains_key(&segment.endpoints) {
            return;
        }
        let mut flow = Flow::new(segment, now_ms);
        flow.born_ns = sighting.time_ns;
        flow.overflow = !self.has_room(now_ms);
        if flow.overflow {
            self.health.unfollowed_connections += 1;
        }
        if self.table.len() >= self.max_connections + SPARE_CONNECTIONS {
            self.count_by_length(segment);
            return;
        }
        flow.interface = sighting.interface;
        flow.class = self.classes.of(segment.endpoints.remote);
        flow.lost_its_beginning = flow.origin == Origin::Midstream && self.unseen.have_anchors();
        flow.relayed = segment.syn && self.recent_syns.has_relayed(segment);
        if let Some(isn) = self.recent_syns.acknowledged_with_data(segment).filter(|_| flow.origin == Origin::Passive) {
            flow.begin_behind_data_syn(isn);
        }
        let bytes = flow.settle(segment, sighting.time_ns);
        book(&mut self.booked, &mut flow, bytes);
        self.watch_for_an_owner(&segment.endpoints, &flow, now_ms);
        self.table.insert(segment.endpoints, flow);
    }

    /// The owner thread sees SYNs itself; it must be told of other segments.
    fn watch_for_an_owner(&mut self, endpoints: &Endpoints, flow: &Flow, now_ms: u64) {
        if flow.origin == Origin::Midstream {
            self.questions.push(question(endpoints, flow));
        } else if self.unanswered.len() < MAX_UNANSWERED {
            self.unanswered.push_back((*endpoints, now_ms));
        }
    }

    /// A connection without a place, spare ones included, has no cursors, and only the lengths of the segments that it sends can be
    /// counted; `unfollowed_connections` reports such connections.
    fn count_by_length(&mut self, segment: &Segment) {
        self.booked.entry(Owner::OTHER).or_default().sent += u64::from(segment.payload_bytes);
    }

    /// Whether a place is free.
    pub(super) fn has_place(&self) -> bool {
        self.table.len() < self.max_connections
    }

    fn has_room(&mut self, now_ms: u64) -> bool {
        if self.has_place() {
            return true;
        }
        if now_ms < self.no_room_until_ms {
            return false;
        }
        self.make_room(now_ms);
        if self.table.len() + self.max_connections / 64 > self.max_connections {
            self.no_room_until_ms = now_ms + ROOM_PAUSE_MS;
        }
        self.table.len() < self.max_connections
    }

    /// Forgets connections that will not move any more.
    fn make_room(&mut self, now_ms: u64) {
        let finished = self.table.iter().filter(|(_, flow)| flow.is_over());
        let finished: Vec<_> = finished
            .map(|(endpoints, flow)| (*endpoints, flow.embryonic))
            .take(MAX_FORGOTTEN - self.forgotten.len())
            .collect();
        for (endpoints, is_embryonic) in finished {
            self.forget(&endpoints);
            // One opened with a SYN cookie comes back.
            if !is_embryonic {
                self.forgotten.insert(endpoints, now_ms);
            }
        }
    }

    /// Handles an event whose time has come.
    pub fn take(&mut self, event: &Event, now_ms: u64) {
        match event {
            Event::Anchor(sighting) => self.observe(sighting, now_ms),
            Event::PeerFin(Sighting { segment, .. }) => {
                if let Some(flow) = self.table.get_mut(&segment.endpoints) {
                    flow.peer_finished(segment);
                }
            }
            Event::Finding(finding) => self.learn(finding, now_ms),
            Event::Found(found) => self.learn_more(found),
            Event::Totals { question, totals, told_ns } => self.learn_totals(question, totals, *told_ns),
        }
    }

    /// Handles the kernel's answer about a connection.
    pub fn learn(&mut self, finding: &Finding, now_ms: u64) {
        let Some(flow) = self.table.get_mut(&finding.question.endpoints) else { return };
        if flow.birth != finding.question.birth {
            return;
        }
        flow.asked_ms = now_ms;
        flow.answered = true;
        flow.gone = matches!(finding.standing, Standing::Gone | Standing::Foreign);
        match finding.standing {
            Standing::Owned(uid) => self.learn_owner(&finding.question.endpoints, uid),
            Standing::HalfOpen | Standing::Unaccepted => flow.note_listener(finding.listener),
            Standing::TimeWait => {
                flow.orphan(finding.listener, now_ms);
                self.settle_to_peer_fin(&finding.question.endpoints);
            }
            Standing::Gone if flow.passes_through(finding.forwards) => flow.disown(),
            Standing::Foreign => flow.disown(),
            Standing::Orphaned | Standing::Gone => flow.orphan(finding.listener, now_ms),
        }
        self.tell_of_lost_beginning(&finding.question.endpoints);
    }

    fn learn_owner(&mut self, endpoints: &Endpoints, uid: u32) {
        let Some(flow) = self.table.get_mut(endpoints) else { return };
        let waiting = match (flow.origin, &flow.holder) {
            (_, Holder::Searching(..) | Holder::Fine(_) | Holder::Unwanted | Holder::Undecided(_)) => return,
            (Origin::Passive, Holder::Pending(pending)) => {
                self.ports.learn(endpoints.local, endpoints.local_port, pending.listener, uid);
                pending.bytes
            }
            (_, Holder::Pending(pending)) => {
                self.health.late_connections += u64::from(flow.origin == Origin::Midstream);
                pending.bytes
            }
            _ => Bytes::default(),
        };
        match self.searches.begin(uid, waiting) {
            searching @ Holder::Searching(..) if !flow.overflow => flow.holder = searching,
            known => settle_holder(&mut self.booked, flow, known),
        }
    }

    /// Handles the result of a search.
    pub fn learn_more(&mut self, found: &Found) {
        if let Some(flow) = self.table.get_mut(&found.question.endpoints)
            && (flow.birth == found.question.birth || flow.origin == Origin::Midstream)
            && let Holder::Searching(uid, _) = flow.holder
        {
            settle_holder(&mut self.booked, flow, self.searches.end(uid, &found.outcome));
        }
    }

    /// Whether bytes wait for a search that is not answered yet.
    #[must_use]
    pub fn is_searching(&self) -> bool {
        let waits = |flow: &Flow| matches!(flow.holder, Holder::Searching(_, bytes) if !bytes.is_zero());
        self.table.values().any(waits)
    }

    /// Drops owners that have no connections and, according to `is_gone`, will get none.
    pub fn drop_gone(&mut self, now_ms: u64, is_gone: impl FnMut(&Owner) -> bool) {
        self.gone.extend(self.searches.take_gone(now_ms, is_gone));
    }

    /// Owners that have gone since the last call. Their last bytes are among credits taken before.
    pub fn take_gone(&mut self) -> Vec<Owner> {
        let gone = std::mem::take(&mut self.gone);
        if self.classes.is_empty() {
            return gone;
        }
        let mut in_classes = Vec::with_capacity(gone.len());
        for owner in gone {
            // The classes in which it has moved bytes.
            let classes = self.in_classes.remove(&owner).unwrap_or_default();
            in_classes.extend(classes.into_iter().map(|class| owner.clone().in_class(Some(class))));
        }
        in_classes
    }

    /// Decides owners, asks questions, and forgets connections that have ended. To be called about once a second.
    pub fn sweep(&mut self, now_ms: u64) {
        let mut ended = Vec::new();
        self.close_followed(now_ms, false);
        self.unread_asked = 0;
        self.forgotten.retain(|_, since_ms| now_ms - *since_ms < FORGOTTEN_MS);
        self.health.pending_bytes = 0;
        for (endpoints, flow) in &mut self.table {
            if flow.guess_is_due(now_ms) {
                let bytes = guess(&mut self.booked, &self.ports, &self.searches, endpoints, flow);
                self.health.listener_bytes += bytes;
            }
            if let Holder::Pending(Pending { bytes, .. }) | Holder::Searching(_, bytes) = flow.holder {
                self.health.pending_bytes += bytes.sent + bytes.received;
            }
            if flow.has_ended(now_ms) {
                ended.push(*endpoints);
            } else if self.questions.len() < MAX_QUESTIONS_PER_SWEEP && flow.is_worth_asking(now_ms) {
                flow.asked_ms = now_ms;
                self.questions.push(question(endpoints, flow));
            }
        }
        for endpoints in ended {
            self.forget(&endpoints);
        }
    }

    /// Questions that came up since the last call.
    pub fn take_questions(&mut self, now_ms: u64) -> Vec<Question> {
        while let Some(&(endpoints, since_ms)) = self.unanswered.front() {
            if now_ms - since_ms < UNANSWERED_MS {
                break;
            }
            self.unanswered.pop_front();
            if let Some(flow) = self.table.get(&endpoints)
                && !flow.answered
            {
                self.questions.push(question(&endpoints, flow));
            }
        }
        std::mem::take(&mut self.questions)
    }

    /// Questions about connections that hold bytes without an owner or await their last ACK.
    #[must_use]
    pub fn open_questions(&self) -> Vec<Question> {
        let undecided = |flow: &Flow| flow.holds_bytes() || (flow.awaits_last_ack() && !flow.gone);
        self.table.iter().filter(|(_, flow)| undecided(flow)).map(|(at, flow)| question(at, flow)).collect()
    }

    /// Decides every open owner, because nothing more will be learnt.
    pub fn conclude(&mut self) {
        self.close_followed(0, true);
        let all: Vec<_> = self.table.keys().copied().collect();
        for endpoints in all {
            if let Some(mut flow) = self.table.remove(&endpoints) {
                self.settle_doubt(&mut flow);
                let bytes = guess(&mut self.booked, &self.ports, &self.searches, &endpoints, &mut flow);
                self.health.listener_bytes += bytes;
                self.table.insert(endpoints, flow);
            }
        }
        self.health.pending_bytes = 0;
    }

    /// Bytes by owner since the last call.
    pub fn take_credits(&mut self) -> Vec<(Owner, Bytes)> {
        let credits: Vec<_> = self.booked.drain().collect();
        for (_, bytes) in credits.iter().filter(|(owner, _)| *owner == Owner::OTHER) {
            self.health.overflow_bytes += bytes.sent + bytes.received;
        }
        self.health.coarse_bytes += self.searches.coarse(&credits);
        for (owner, class) in credits.iter().filter_map(|(owner, _)| Some((owner, owner.class.clone()?))) {
            if owner.is_fine() {
                self.in_classes.entry(owner.clone().in_class(None)).or_default().insert(class);
            }
        }
        credits
    }

    /// What could not be counted or attributed since the start.
    #[must_use]
    pub fn health(&self) -> Health {
        let undecided = self.undecided_before + self.table.values().map(Flow::undecided_bytes).sum::<u64>();
        Health { coarse_bytes: self.health.coarse_bytes + undecided, ..self.health }
    }

    fn forget(&mut self, endpoints: &Endpoints) {
        if let Some(flow) = self.table.remove(endpoints) {
            self.close(endpoints, flow);
        }
    }

    pub(super) fn close(&mut self, endpoints: &Endpoints, mut flow: Flow) {
        self.settle_doubt(&mut flow);
        self.health.listener_bytes += guess(&mut self.booked, &self.ports, &self.searches, endpoints, &mut flow);
        self.undecided_before += flow.undecided_bytes();
        if self.losses.may_have_hit(&flow) && flow.may_be_short() && !flow.is_gap {
            self.health.gaps += 1;
        }
    }
}

pub(super) const fn question(endpoints: &Endpoints, flow: &Flow) -> Question {
    Question { endpoints: *endpoints, birth: flow.birth, interface: flow.interface }
}

#[cfg(test)]
#[path = "flows_tests.rs"]
mod tests;
