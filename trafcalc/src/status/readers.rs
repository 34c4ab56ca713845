//! All clients of the reports socket.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::audience::Told;
use super::changes::{Changes, Look};
use super::reader::{Lines, Reader, line};
use super::stream::Hello;
use super::view::View;
use crate::sinks::{Format as _, Json};

/// Most clients at once.
pub(super) const MAX_READERS: usize = 16;
/// Most clients that see only themselves; the rest is for those that see everything.
pub(super) const MAX_ORDINARY: usize = 12;
/// Most clients of one such uid: to keep out others, a user needs three uids (subordinate ones).
pub(super) const MAX_OF_USER: usize = 4;

/// Where processes or units are told apart, a look costs more, and the time between looks is what a server has to act
/// on a connection that it accepted. So a client that sees only itself cannot order looks more often than the service
/// looks by itself.
const ORDINARY_LOOKS: Duration = Duration::from_secs(10);

/// The clients.
pub(super) struct Readers {
    readers: Vec<Reader>,
    hello: Hello,
    changes: Changes,
}

impl Readers {
    pub(super) fn new(hello: Hello) -> Self {
        Self { readers: Vec::new(), hello, changes: Changes::default() }
    }

    /// Admits a client with `view`, or tells it why not.
    pub(super) fn admit(&mut self, stream: UnixStream, view: View) {
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let hello = line(&Hello { only_uid: view.only_uid(), ..self.hello.clone() });
        let is_coarse = self.hello.by.len() < 2;
        let least = if view == View::All || is_coarse { Duration::ZERO } else { ORDINARY_LOOKS };
        let mut reader = Reader::new(stream, view, hello, least);
        if let Some(why) = self.full_for(view) {
            reader.refuse(why.into());
            reader.write();
            return;
        }
        reader.write();
        self.readers.push(reader);
    }

    /// Why there is no room for another client with `view`.
    fn full_for(&self, view: View) -> Option<String> {
        let count = |is_counted: &dyn Fn(View) -> bool| {
            let counted = self.readers.iter().filter(|reader| is_counted(reader.view));
            counted.count()
        };
        let mut limits = vec![(count(&|_| true), MAX_READERS, "clients")];
        if let View::Only(_) = view {
            limits.push((count(&|other| other != View::All), MAX_ORDINARY, "clients outside the service's group"));
            limits.push((count(&|other| other == view), MAX_OF_USER, "clients of this user"));
        }
        let full = limits.into_iter().find(|(count, most, _)| count >= most);
        full.map(|(_, most, whose)| format!("there are {most} {whose} already"))
    }

    /// All clients, to poll their sockets.
    pub(super) fn all(&mut self) -> &mut Vec<Reader> {
        &mut self.readers
    }

    /// Removes clients that are gone.
    pub(super) fn sweep(&mut self) {
        self.readers.retain(|reader| !reader.is_gone());
        if self.every().is_none() {
            self.changes.clear();
        }
    }

    pub(super) fn count(&self) -> usize {
        self.readers.len()
    }

    /// The shortest period of samples that a client asks for.
    pub(super) fn every(&self) -> Option<Duration> {
        self.readers.iter().filter_map(Reader::every).min()
    }

    /// Sends each client what it may see of a report.
    pub(super) fn report(&mut self, what: &Told) {
        let mut told: HashMap<View, Lines> = HashMap::new();
        for reader in &mut self.readers {
            let view = reader.view;
            reader.tell_report(|| Arc::clone(told.entry(view).or_insert_with(|| encode(what, view))));
            reader.write();
        }
    }

    /// Tells each client that `count` reports were dropped.
    pub(super) fn missed_reports(&mut self, count: u64) {
        self.readers.iter_mut().for_each(|reader| reader.missed_reports(count));
    }

    /// Sends what moved to each client whose sample is due.
    pub(super) fn look(&mut self, look: Look, now: Instant) {
        self.changes.take(look);
        let mut told: HashMap<(View, u64), Lines> = HashMap::new();
        let (changes, number) = (&self.changes, self.changes.number());
        for reader in &mut self.readers {
            if !reader.is_due(now) {
                continue;
            }
            let (view, known) = (reader.view, reader.known);
            let encode = || changes.sample(view, known).map_or_else(|| Arc::from([]), |sample| line(&sample));
            reader.tell_sample(number, || Arc::clone(told.entry((view, known)).or_insert_with(encode)));
            reader.write();
        }
    }
}

fn encode(what: &Told, view: View) -> Lines {
    let mut text = what.beside.gaps.clone();
    if view == View::All {
        text.extend_from_slice(&what.beside.quotas);
    }
    if let Some(report) = &what.report {
        Json.encode(&view.report(report), &mut text);
    }
    text.into()
}

#[cfg(test)]
mod tests;
