//! All connections in view, and the bytes they moved by owner. Pure: packets, findings and time are passed in, so every
//! rule here is tested without a network.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use super::booking::{book, guess, settle_holder};
use super::finding::{Finding, Found, Question, Standing};
use super::flow::{Flow, Holder, Origin, Pending};
use super::ports::PortHistory;
use super::searches::Searches;
use super::segment::{Direction, Endpoints, Segment};
use super::syns::RecentSyns;
use crate::capture::{Bytes, Health, Owner};

/// A connection that had to make room is remembered this long, for its segments that are still in the bulk ring.
const FORGOTTEN_MS: u64 = 1_000;
/// Most of those remembered at once (3 MB); with more, none makes room any more.
const MAX_FORGOTTEN: usize = 65_536;
/// Connections counted beyond the limit without being asked about, so that `(other)` is exact as well: 12 MB, taken only
/// when the table is full.
const SPARE_CONNECTIONS: usize = 65_536;
/// Questions that a sweep asks at most; the next one asks the rest.
const MAX_QUESTIONS_PER_SWEEP: usize = 1024;
/// The owner thread answers the question of a SYN within a millisecond. After this time it is asked again.
const UNANSWERED_MS: u64 = 20;
/// Most connections watched for an answer; the others are asked about again within a second.
const MAX_UNANSWERED: usize = 4096;
/// Pause between two searches for room in a full table that found next to none.
const ROOM_PAUSE_MS: u64 = 100;

/// One segment and the circumstances of its capture.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// The segment.
    pub segment: Segment,
    /// When it passed, in nanoseconds of the wall clock.
    pub time_ns: u64,
    /// Index of the interface.
    pub interface: u32,
    /// Whether it was read long after it passed, by the wall clock: then later ones of its connection may have been read
    /// before, from the other ring.
    pub is_late: bool,
}

/// The connections in view.
#[derive(Debug)]
pub struct Flows {
    table: HashMap<Endpoints, Flow>,
    max_connections: usize,
    booked: HashMap<Owner, Bytes>,
    questions: Vec<Question>,
    /// Connections whose SYN was just seen, and when.
    unanswered: VecDeque<(Endpoints, u64)>,
    ports: PortHistory,
    searches: Searches,
    gone: Vec<Owner>,
    /// Bytes of connections, forgotten ones and others, of which nobody knows whether they are to be counted.
    undecided_before: u64,
    recent_syns: RecentSyns,
    /// Finished connections that made room for others, and when.
    forgotten: HashMap<Endpoints, u64>,
    no_room_until_ms: u64,
    health: Health,
}

impl Flows {
    /// An empty table for at most `max_connections`, whose owners `searches` tells.
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
            gone: Vec::new(),
            undecided_before: 0,
            recent_syns: RecentSyns::default(),
            forgotten: HashMap::new(),
            no_room_until_ms: 0,
            health: Health::default(),
        }
    }

    /// Takes notice of a captured segment, `now_ms` after the start.
    pub fn observe(&mut self, sighting: &Sighting, now_ms: u64) {
        match sighting.segment.direction {
            Direction::Incoming => self.observe_incoming(&sighting.segment),
            Direction::Outgoing if sighting.segment.rst => self.observe_reset(&sighting.segment, now_ms),
            Direction::Outgoing => self.observe_outgoing(sighting, now_ms),
        }
    }

    /// Takes notice of a connection that was open before the start, whose socket is bound to `interface` (0 if to none) and
    /// belongs to the user `uid`; gives whether more is to be found out of its owner.
    pub fn adopt(&mut self, endpoints: Endpoints, interface: u32, uid: u32) -> bool {
        if self.table.len() >= self.max_connections {
            return false;
        }
        let holder = self.searches.begin(uid, Bytes::default());
        let is_searching = matches!(holder, Holder::Searching(..));
        self.table.insert(endpoints, Flow::adopted(holder, interface));
        is_searching
    }

    /// Counts these users, too, from now on. Whose the connections are that nobody wanted so far is asked once more; of more
    /// than a sweep may ask about, when they move.
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

    /// Takes notice of a packet that could not be understood.
    pub const fn observe_malformed(&mut self) {
        self.health.malformed_packets += 1;
    }

    /// Takes notice of packets that the kernel had no room for; `anchors` of them were SYN, FIN, RST or milestones,
    /// each of which may leave one connection a little wrong.
    pub const fn observe_loss(&mut self, packets: u64, anchors: u64) {
        self.health.lost_events += packets;
        self.health.gaps += anchors;
    }

    /// Takes notice of a question that could not be asked yet.
    pub const fn observe_delayed_question(&mut self) {
        self.health.delayed_lookups += 1;
    }

    /// What comes from the net moves no cursor: it only says where the peer's bytes begin and end.
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

    /// The RST of a socket that was aborted carries its cursors. One that answers a stray segment carries the
    /// stranger's numbers (`tcp_v4_send_reset`): without ACK, or with the sequence number 0.
    fn observe_reset(&mut self, segment: &Segment, now_ms: u64) {
        if segment.ack.is_none() || segment.seq == 0 {
            return;
        }
        if let Some(flow) = self.table.get_mut(&segment.endpoints)
            && flow.can_be_of_this_connection(segment)
        {
            let bytes = flow.settle(segment, flow.born_ns);
            flow.aborted = true;
            flow.seen_ms = now_ms;
            book(&mut self.booked, flow, bytes);
        }
    }

    fn observe_outgoing(&mut self, sighting: &Sighting, now_ms: u64) {
        let segment = &sighting.segment;
        self.retire_earlier_connection(sighting, now_ms);
        match self.table.get_mut(&segment.endpoints) {
            // Left over in the slower ring, be it from an earlier connection between the same endpoints.
            Some(flow) if flow.is_past(sighting, now_ms) => {}
            Some(flow) => {
                self.health.late_connections += u64::from(flow.is_unseen());
                flow.seen_ms = now_ms;
                let was_embryonic = flow.embryonic;
                let bytes = flow.settle(segment, sighting.time_ns);
                book(&mut self.booked, flow, bytes);
                if was_embryonic && !flow.embryonic && flow.gone {
                    flow.revive();
                    self.questions.push(question(&segment.endpoints, flow));
                }
            }
            None => self.open(sighting, now_ms),
        }
    }

    fn retire_earlier_connection(&mut self, sighting: &Sighting, now_ms: u64) {
        let segment = &sighting.segment;
        let is_of = |flow: &Flow| {
            if segment.syn {
                flow.is_same_opening(segment)
            } else {
                flow.is_past(sighting, now_ms) || flow.can_be_of_this_connection(segment)
            }
        };
        if let Entry::Occupied(entry) = self.table.entry(segment.endpoints)
            && !is_of(entry.get())
        {
            let flow = entry.remove();
            self.close(&segment.endpoints, flow);
        }
    }

    fn open(&mut self, sighting: &Sighting, now_ms: u64) {
        let segment = &sighting.segment;
        if !segment.syn && self.forgotten.contains_key(&segment.endpoints) {
            return;
        }
        let mut flow = Flow::new(segment, sighting.time_ns, now_ms);
        flow.overflow = !self.has_room(now_ms);
        if flow.overflow {
            self.health.unfollowed_connections += 1;
        }
        if self.table.len() >= self.max_connections + SPARE_CONNECTIONS {
            self.count_by_length(segment);
            return;
        }
        flow.interface = sighting.interface;
        flow.lost_before = self.health.lost_events;
        flow.relayed = segment.syn && self.recent_syns.has_relayed(segment);
        if let Some(isn) = self.recent_syns.acknowledged_with_data(segment).filter(|_| flow.origin == Origin::Passive) {
            flow.begin_behind_data_syn(isn);
        }
        let bytes = flow.settle(segment, sighting.time_ns);
        book(&mut self.booked, &mut flow, bytes);
        self.watch_for_an_owner(&segment.endpoints, &flow, now_ms);
        self.table.insert(segment.endpoints, flow);
    }

    /// The owner thread has seen a SYN, too; of other segments it must be told.
    fn watch_for_an_owner(&mut self, endpoints: &Endpoints, flow: &Flow, now_ms: u64) {
        if flow.origin == Origin::Midstream {
            self.questions.push(question(endpoints, flow));
        } else if self.unanswered.len() < MAX_UNANSWERED {
            self.unanswered.push_back((*endpoints, now_ms));
        }
    }

    /// Without a place for its cursors, spare ones included, a connection can only be counted by the lengths of the
    /// segments that it sends; `unfollowed_connections` says that there are such.
    fn count_by_length(&mut self, segment: &Segment) {
        self.booked.entry(Owner::OTHER).or_default().sent += u64::from(segment.payload_bytes);
    }

    fn has_room(&mut self, now_ms: u64) -> bool {
        if self.table.len() < self.max_connections {
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
            // One opened with a SYN cookie comes back: it has no segments in the ring yet.
            if !is_embryonic {
                self.forgotten.insert(endpoints, now_ms);
            }
        }
    }

    /// Takes notice of what the kernel knows of a connection.
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
            Standing::Unaccepted => flow.note_listener(finding.listener),
            Standing::TimeWait => {
                let bytes = flow.settle_to_peer_fin();
                book(&mut self.booked, flow, bytes);
                flow.orphan(finding.listener, now_ms);
            }
            Standing::Gone if flow.passes_through(finding.forwards) => flow.disown(),
            Standing::Foreign => flow.disown(),
            Standing::Orphaned | Standing::Gone => flow.orphan(finding.listener, now_ms),
        }
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

    /// Takes notice of what a search found.
    pub fn learn_more(&mut self, found: &Found) {
        if let Some(flow) = self.table.get_mut(&found.question.endpoints)
            && (flow.birth == found.question.birth || flow.origin == Origin::Midstream)
            && let Holder::Searching(uid, _) = flow.holder
        {
            settle_holder(&mut self.booked, flow, self.searches.end(uid, &found.outcome));
        }
    }

    /// Whether a search is not answered yet whose answer bytes wait for.
    #[must_use]
    pub fn is_searching(&self) -> bool {
        let waits = |flow: &Flow| matches!(flow.holder, Holder::Searching(_, bytes) if !bytes.is_zero());
        self.table.values().any(waits)
    }

    /// Lets go of owners that have no connections and of whom `is_gone` says that none will come.
    pub fn drop_gone(&mut self, now_ms: u64, is_gone: impl FnMut(&Owner) -> bool) {
        self.gone.extend(self.searches.take_gone(now_ms, is_gone));
    }

    /// Owners that are gone since the last call; their last bytes are among the credits taken before.
    pub fn take_gone(&mut self) -> Vec<Owner> {
        std::mem::take(&mut self.gone)
    }

    /// The regular look at every connection: decides owners, asks questions, forgets what has ended. To be called
    /// about once a second.
    pub fn sweep(&mut self, now_ms: u64) {
        let mut ended = Vec::new();
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

    /// Questions about all connections that still hold bytes without an owner.
    #[must_use]
    pub fn open_questions(&self) -> Vec<Question> {
        let undecided = |flow: &Flow| flow.holds_bytes() || (flow.awaits_last_ack() && !flow.gone);
        self.table.iter().filter(|(_, flow)| undecided(flow)).map(|(at, flow)| question(at, flow)).collect()
    }

    /// Decides every owner that is still open: nothing more will be learnt.
    pub fn conclude(&mut self) {
        let all: Vec<_> = self.table.keys().copied().collect();
        for endpoints in all {
            if let Some(flow) = self.table.get_mut(&endpoints) {
                self.health.listener_bytes += guess(&mut self.booked, &self.ports, &self.searches, &endpoints, flow);
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

    fn close(&mut self, endpoints: &Endpoints, mut flow: Flow) {
        self.health.listener_bytes += guess(&mut self.booked, &self.ports, &self.searches, endpoints, &mut flow);
        self.undecided_before += flow.undecided_bytes();
        let was_lost_meanwhile = self.health.lost_events > flow.lost_before;
        if was_lost_meanwhile && !flow.is_complete() && !flow.aborted && !flow.is_nobodys() {
            self.health.gaps += 1;
        }
    }
}

const fn question(endpoints: &Endpoints, flow: &Flow) -> Question {
    Question { endpoints: *endpoints, birth: flow.birth, interface: flow.interface }
}

#[cfg(test)]
#[path = "flows_tests.rs"]
mod tests;
