//! One end of a captured connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::segment::Segment;

/// What one end of a connection carried.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    ours: Option<Stream>,
    theirs: Option<Stream>,
    /// Up to where this end acknowledged the other's stream, FIN included.
    acknowledged: u64,
    /// How much of the other's stream this end had received when it reset the connection itself, and at most when the other did.
    at_reset: Option<(bool, u64)>,
    /// Whether either end has sent a reset.
    is_reset: bool,
}

impl Seen {
    pub(super) const fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { local, remote, ours: None, theirs: None, acknowledged: 0, at_reset: None, is_reset: false }
    }

    /// Payload that this end transmitted, each byte once.
    pub(crate) fn sent(&self) -> u64 {
        self.ours.as_ref().map_or(0, Stream::carried)
    }

    /// Payload that this end received in order: the least and the most it can be.
    ///
    /// Both are the same if all that arrived was acknowledged or a reset tells. Else some of it came when the program had
    /// closed already, and the kernel dropped it and reset the connection without saying from where on.
    pub(crate) fn received(&self) -> (u64, u64) {
        let most = self.theirs.as_ref().map_or(0, Stream::length);
        let arrived = self.theirs.as_ref().map_or(0, Stream::in_order);
        match self.at_reset {
            Some((true, position)) => (position.min(most), position.min(most)),
            // What had arrived may have found no room, and the reset came before it was sent again.
            Some((false, position)) => (self.acknowledged().min(position), position.min(most)),
            None => (self.acknowledged(), arrived.max(self.acknowledged())),
        }
    }

    /// The part of what it received that this end acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.theirs.as_ref().map_or(0, Stream::length).min(self.acknowledged)
    }

    /// Whether either end reset it.
    pub(crate) const fn is_reset(&self) -> bool {
        self.is_reset
    }

    /// Whether this SYN opens another connection between the same addresses.
    pub(super) fn is_other_than(&self, syn: &Segment, is_outgoing: bool) -> bool {
        let stream = if is_outgoing { &self.ours } else { &self.theirs };
        stream.as_ref().is_none_or(|stream| stream.first != syn.sequence)
    }

    pub(super) fn note(&mut self, segment: &Segment, is_outgoing: bool) {
        let is_over = self.at_reset.is_some();
        let stream = if is_outgoing { &mut self.ours } else { &mut self.theirs };
        if segment.is_syn || segment.payload > 0 {
            stream.get_or_insert_with(|| Stream::from(segment.sequence));
        }
        if let Some(stream) = stream.as_mut().filter(|_| is_outgoing || !is_over) {
            stream.add(segment);
        }
        if is_outgoing {
            self.note_acknowledgement(segment);
        } else if segment.is_reset {
            self.note_their_reset(segment.sequence);
        }
    }

    /// A reset ends the connection if its number is the next one expected (RFC 5961, 3.2); one that overtook data does
    /// not, and the other end sends another.
    fn note_their_reset(&mut self, sequence: u32) {
        self.is_reset = true;
        let Some(theirs) = &self.theirs else { return };
        if u64::try_from(theirs.position(sequence)) == Ok(theirs.next()) {
            self.at_reset.get_or_insert((false, theirs.in_order()));
        }
    }

    /// A reset that the socket itself sends says where its stream stands; one for a connection that nobody knows has no
    /// acknowledgement.
    fn note_acknowledgement(&mut self, segment: &Segment) {
        let (Some(theirs), Some(number)) = (&self.theirs, segment.acknowledged) else { return };
        let position = u64::try_from(theirs.position(number)).unwrap_or(0);
        self.acknowledged = self.acknowledged.max(position);
        if segment.is_reset {
            self.is_reset = true;
            self.at_reset.get_or_insert((true, position));
        }
    }
}

/// One direction of it.
#[derive(Debug)]
struct Stream {
    /// The number of the first payload byte.
    first: u32,
    /// The end of the furthest payload so far.
    furthest: u64,
    /// Which payload was carried: where each part begins and ends, counted from 0. Parts do not touch.
    parts: BTreeMap<u64, u64>,
    /// Where the payload ends, once a FIN has told.
    end: Option<u64>,
}

impl Stream {
    const fn from(first: u32) -> Self {
        Self { first, furthest: 0, parts: BTreeMap::new(), end: None }
    }

    /// Where in the stream a sequence number is: at the place nearest to what was seen last.
    fn position(&self, number: u32) -> i64 {
        let latest = self.first.wrapping_add(u32::try_from(self.furthest & u64::from(u32::MAX)).expect("32 bits"));
        self.furthest.cast_signed() + i64::from(number.wrapping_sub(latest).cast_signed())
    }

    fn add(&mut self, segment: &Segment) {
        let Ok(start) = u64::try_from(self.position(segment.sequence)) else { return };
        let end = start + segment.payload;
        if segment.is_fin {
            self.end = Some(end);
        }
        if segment.payload > 0 {
            self.furthest = self.furthest.max(end);
            self.join(start, end);
        }
    }

    /// Adds a part and joins it with those it touches.
    fn join(&mut self, mut start: u64, mut end: u64) {
        while let Some((&other, &its_end)) = self.parts.range(..=end).next_back().filter(|part| *part.1 >= start) {
            self.parts.remove(&other);
            start = start.min(other);
            end = end.max(its_end);
        }
        self.parts.insert(start, end);
    }

    fn carried(&self) -> u64 {
        self.parts.iter().map(|(start, end)| end - start).sum()
    }

    /// How much of it is there from the beginning on.
    fn in_order(&self) -> u64 {
        self.parts.get(&0).copied().unwrap_or(0)
    }

    /// The number expected next, counted from the first payload byte. A FIN has one, too.
    fn next(&self) -> u64 {
        let in_order = self.in_order();
        in_order + u64::from(self.end == Some(in_order))
    }

    /// The payload's length, as far as it is known.
    fn length(&self) -> u64 {
        self.end.unwrap_or(self.furthest)
    }
}
