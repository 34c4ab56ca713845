//! Positions of open connections at the end of the service, and how the next process continues. Pure.
//!
//! A note has the two cursors, which are 32 bits wide, and bounds on the kernel's totals, which are 64 bits wide. What the totals moved
//! beyond the bounds moved while nobody counted, and is credited at once. The first segment that this host sends afterwards shows the rest.
//!
//! This backend does not know the first sequence numbers of older connections, so a note identifies a connection by its endpoints and its
//! socket's cookie, which the kernel does not reuse until a restart. The bounds are not less than the cursors' own totals (`bytes_acked`
//! and what is queued; `bytes_received`), because the kernel is asked after the segments were read. What the totals moved beyond them is
//! certain, however often the numbers wrapped, except for a byte that may be a FIN. A service that watches other interfaces ignores notes,
//! because their connections may be out of view. The rings are read once more after the kernel was asked, to see the beginning of a later
//! connection between the same endpoints.

use std::collections::HashMap;

use trafcalc_common::{Cursor, distance};

use super::booking::book;
use super::claims::IN_QUEUE_NS;
use super::flow::{Flow, Holder, Origin, Pending};
use super::flows::Flows;
use super::segment::{Endpoints, Segment};
use super::totals::Totals;
use crate::capture::{Bytes, FlowNote, OpenNotes, Settings};

/// Most connections that are noted: the last report is booked with the notes, within a second and a half. What others move until the next
/// start is not counted.
const MAX_NOTES: usize = 100_000;

/// The settings that decide which connections are followed; the others are never in view.
pub fn scope(settings: &Settings) -> String {
    format!("loopback {}, interfaces {:?}", settings.loopback, settings.packet.interfaces)
}

/// The notes of a former process.
pub struct FormerNotes<'a>(HashMap<u64, &'a FlowNote>);

impl<'a> FormerNotes<'a> {
    /// The notes of the last process, if it followed the same connections: `scope`.
    pub fn new(notes: &'a OpenNotes, scope: &str) -> Self {
        let flows = notes.flows.iter().filter(|_| notes.scope == scope);
        Self(flows.map(|note| (note.cookie, note)).collect())
    }

    /// Whether there are no notes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The note of the socket that has these endpoints and totals now.
    pub fn of(&self, endpoints: &Endpoints, totals: &Totals) -> Option<&'a FlowNote> {
        self.0.get(&totals.cookie).copied().filter(|note| note.endpoints == *endpoints)
    }
}

/// FINs that passed before the kernel was asked, some of them before the capture began, so their numbers are unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FormerFins {
    sent: bool,
    received: bool,
    /// When the kernel was asked, in nanoseconds of the wall clock.
    asked_ns: u64,
}

impl FormerFins {
    /// The numbers up to which `segment`, sent by this host at `time_ns`, moves the cursors. It is after the FINs if it was sent after the
    /// kernel was asked. If it was sent before, it may be, so one number is left to the next segment.
    pub(super) fn ends(
        self,
        segment: &Segment,
        time_ns: u64,
        sent: &mut Option<Cursor>,
        received: &mut Option<Cursor>,
    ) -> (u32, Option<u32>) {
        let before = |number: u32, cursor: &mut Option<Cursor>| {
            let fin = number.wrapping_sub(1);
            if let Some(cursor) = cursor.as_mut().filter(|_| time_ns > self.asked_ns) {
                cursor.ends_at(fin);
            }
            fin
        };
        // A retransmission has payload or the FIN itself.
        let is_behind_fin = self.sent && segment.payload_bytes == 0 && !segment.fin;
        let end = if is_behind_fin { before(segment.seq, sent) } else { segment.end_seq() };
        let ack = if self.received { segment.ack.map(|ack| before(ack, received)) } else { segment.ack };
        (end, ack)
    }
}

impl Flow {
    /// Continues from `note`; the kernel had these `totals` when asked. Returns what certainly moved in between.
    fn go_on_from(&mut self, note: &FlowNote, totals: &Totals, asked_ns: u64) -> Bytes {
        // The last byte may be a FIN, so it is left to the next segment.
        let moved = |total: u64, noted: u64| total.saturating_sub(noted).saturating_sub(1);
        let bytes =
            Bytes { sent: moved(totals.acked, note.sent_total), received: moved(totals.received, note.received_total) };
        self.sent = Some(Cursor::at(note.sent.wrapping_add(low(bytes.sent))));
        self.received = Some(Cursor::at(note.received.wrapping_add(low(bytes.received))));
        self.unconfirmed_ns = Some(asked_ns);
        self.former_fins = FormerFins { sent: totals.has_sent_fin, received: totals.has_received_fin, asked_ns };
        bytes
    }

    /// The first segment sent after the kernel was asked confirms the note, because acknowledgement numbers never go back. If its number
    /// did, the socket was connected anew, and is counted from here on.
    pub(super) fn confirm_note(&mut self, segment: &Segment, time_ns: u64) {
        let (Some(asked_ns), Some(ack)) = (self.unconfirmed_ns, segment.ack) else { return };
        if time_ns <= asked_ns {
            return;
        }
        let is_behind = self.received.is_some_and(|received| distance(received.next(), ack) < 0);
        if is_behind && time_ns <= asked_ns + IN_QUEUE_NS {
            // The segment may have been written before that.
            return;
        }
        self.unconfirmed_ns = None;
        if is_behind {
            (self.sent, self.received, self.former_fins) = (None, None, FormerFins::default());
        }
    }

    /// Its position, not later than the kernel's `totals`. Of a young connection, only the beginning may have been seen.
    fn note(&mut self, endpoints: Endpoints, totals: &Totals) -> Option<FlowNote> {
        if self.is_over() {
            return None;
        }
        // A segment of this host has to confirm the peer's claim about its SYN before the end.
        let received =
            self.received.map(|received| received.next()).or(self.peer_isn.map(|isn| isn.wrapping_add(1)))?;
        let sent = self.sent?.next();
        self.is_noted = true;
        Some(FlowNote {
            cookie: totals.cookie,
            endpoints,
            uid: None,
            sent,
            received,
            sent_total: totals.acked.saturating_add(totals.queued.into()),
            received_total: totals.received,
        })
    }

    /// `note`, moved on by what was counted since.
    fn renew(&self, note: FlowNote) -> Option<FlowNote> {
        let is_counted = !matches!(self.holder, Holder::Foreign | Holder::Unwanted | Holder::Overflow);
        if !self.is_noted || !is_counted || self.is_over() {
            return None;
        }
        let renewed = |from: u32, total: u64, cursor: Option<Cursor>| {
            let next = cursor?.next();
            Some((next, total.saturating_add(u64::try_from(distance(from, next)).ok()?)))
        };
        let (sent, sent_total) = renewed(note.sent, note.sent_total, self.sent)?;
        let (received, received_total) = renewed(note.received, note.received_total, self.received)?;
        Some(FlowNote { uid: self.uid(), sent, received, sent_total, received_total, ..note })
    }

    /// The user that it belongs to, if known.
    fn uid(&self) -> Option<u32> {
        match &self.holder {
            Holder::User(uid) | Holder::Searching(uid, _) => Some(*uid),
            Holder::Fine(owner) => owner.uid(),
            _ => None,
        }
    }
}

impl Flows {
    /// Adds a connection that was open before the start and that no process holds. If it was closed and still sends what was written, its
    /// user is that of `note`. Otherwise it waits to be accepted, and for its user.
    pub fn adopt_unheld(&mut self, interface: u32, note: &FlowNote, totals: &Totals) {
        let holder = match note.uid {
            Some(uid) if totals.is_closed => self.searches.without(uid),
            _ => Holder::Pending(Pending::default()),
        };
        if self.has_place() {
            let flow = self.adopted(&note.endpoints, holder, interface);
            self.table.entry(note.endpoints).or_insert(flow);
        }
    }

    /// Lets an adopted connection continue from `note`. The kernel had these `totals` when asked, not later than `asked_ns` nanoseconds of
    /// the wall clock.
    pub fn go_on_from(&mut self, note: &FlowNote, totals: &Totals, asked_ns: u64) {
        if let Some(flow) = self.table.get_mut(&note.endpoints)
            && flow.origin == Origin::Midstream
            && flow.is_unseen()
        {
            let bytes = flow.go_on_from(note, totals, asked_ns);
            book(&mut self.booked, flow, bytes);
        }
    }

    /// Notes the positions of connections in view that are in `sockets`, the kernel's latest totals. [`Flows::take_notes`] adds what is
    /// observed from then on.
    pub fn take_note(&mut self, sockets: impl IntoIterator<Item = (Endpoints, Totals)>) {
        let mut apart = HashMap::new();
        for (at, totals) in sockets {
            // Of two sockets on different interfaces, it is not known which one is followed.
            apart
                .entry(at)
                .and_modify(|known: &mut Option<Totals>| *known = known.filter(|known| known.cookie == totals.cookie))
                .or_insert(Some(totals));
        }
        let note = |(at, totals): (Endpoints, Option<Totals>)| self.table.get_mut(&at)?.note(at, &totals?);
        self.notes = apart.into_iter().filter_map(note).take(MAX_NOTES + 1).collect();
        if self.notes.len() > MAX_NOTES {
            tracing::warn!(
                "more than {MAX_NOTES} connections are open: what the others move until the next start is not counted"
            );
            self.notes.truncate(MAX_NOTES);
        }
    }

    /// The positions of noted connections that are open and were not replaced by others between the same endpoints.
    pub fn take_notes(&mut self) -> Vec<FlowNote> {
        let notes = std::mem::take(&mut self.notes);
        notes.into_iter().filter_map(|note| self.table.get(&note.endpoints)?.renew(note)).collect()
    }
}

/// A distance modulo 2^32.
fn low(bytes: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
    let low = bytes as u32;
    low
}

#[cfg(test)]
#[path = "notes_tests.rs"]
mod tests;
