//! A packet capture: the truth about what a namespace sent and received, independent of the code under test.
//!
//! It reads every packet that enters or leaves a namespace and keeps, for each connection and direction, which payload
//! bytes were carried. A retransmission carries nothing new. It must see every packet, so it fails if one was dropped.

mod connection;
mod segment;
mod tap;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Result, ensure};

use super::Namespace;
pub(crate) use connection::Seen;
use segment::Segment;
use tap::Tap;

/// Room for the headers of a packet: IPv6 with two extension headers, TCP with all options.
const HEADERS: usize = 256;

/// A running capture; it ends when dropped.
pub(crate) struct Capture {
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<Result<Record>>>,
}

impl Capture {
    /// Starts it; connections that are older are not in it.
    pub(crate) fn start(namespace: &Namespace) -> Result<Self> {
        let tap = namespace.enter(Tap::open)??;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let reader = thread::spawn(move || read(&tap, &told));
        Ok(Self { stop, reader: Some(reader) })
    }

    /// Every connection that the namespace had an end of since the start. One within the namespace is there twice, once
    /// for each end.
    pub(crate) fn stop(mut self) -> Result<Vec<Seen>> {
        self.stop.store(true, Ordering::Relaxed);
        let reader = self.reader.take().expect("only stop() takes it");
        Ok(reader.join().expect("no panic")?.connections)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Reads until it is told to stop and nothing is left in the queue.
fn read(tap: &Tap, stop: &AtomicBool) -> Result<Record> {
    let mut record = Record::default();
    let mut headers = [0; HEADERS];
    loop {
        let must_stop = stop.load(Ordering::Relaxed);
        match tap.next(&mut headers)? {
            Some(packet) => {
                let there = &headers[..packet.length.min(HEADERS)];
                if let Some(segment) = segment::parse(there, packet.length) {
                    record.note(&segment, packet.is_outgoing);
                }
            }
            None if must_stop => break,
            None => {}
        }
    }
    let dropped = tap.dropped()?;
    ensure!(dropped == 0, "the capture lost {dropped} packets");
    Ok(record)
}

/// What was captured so far.
#[derive(Default)]
struct Record {
    connections: Vec<Seen>,
    /// The latest connection between two addresses, the local one first.
    latest: BTreeMap<(SocketAddr, SocketAddr), usize>,
}

impl Record {
    fn note(&mut self, segment: &Segment, is_outgoing: bool) {
        let ends =
            if is_outgoing { (segment.source, segment.destination) } else { (segment.destination, segment.source) };
        let latest = self.latest.get(&ends).map(|&index| &self.connections[index]);
        let is_new = match latest {
            Some(seen) => segment.opens() && seen.is_other_than(segment, is_outgoing),
            // Under `TCP_REPAIR` there is no SYN.
            None => segment.is_syn || segment.payload > 0,
        };
        if is_new {
            self.latest.insert(ends, self.connections.len());
            self.connections.push(Seen::new(ends.0, ends.1));
        }
        if let Some(&index) = self.latest.get(&ends) {
            self.connections[index].note(segment, is_outgoing);
        }
    }
}
