//! The thread that serves both sockets. The service's loop may wait for its backend, and clients should not have to
//! wait with it.
//!
//! It polls all its files and never blocks on a client.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::geteuid;

use super::Status;
use super::audience::{Audience, Inbox, SetEvery};
use super::latest::Latest;
use super::readers::Readers;
use super::socket::{Socket, SocketName, send};
use super::stream::Hello;
use super::view::View;
use crate::service::peer::Peer;
use crate::sinks::Watch;

/// Pause after an accept failed for lack of descriptors or memory: it would fail again at once.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// Most clients of one socket served in a [`WINDOW`]; others wait in the kernel's queue. Each takes some 0.3 ms, so a
/// flood takes a sixth of a processor.
const MAX_SERVED: usize = 50;
/// Most of them of one user, except root and the service's user. Further connections are closed at once, so that they
/// do not delay other users in the queue.
const MAX_OF_A_USER: usize = 10;
/// Most clients taken from the queue in a window, served or not. An unserved one takes some 10 µs.
const MAX_TAKEN: usize = 500;
/// The length of the windows in which clients are counted.
const WINDOW: Duration = Duration::from_millis(100);

/// Where clients connect.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For clients of the status.
    pub status: Option<Socket>,
    /// For clients that follow reports.
    pub reports: Option<Socket>,
}

/// What clients are told.
pub struct Told {
    /// The latest summary.
    pub latest: Latest,
    /// What the service may still do, in a few words.
    pub privileges: String,
    /// The condition of log and book.
    pub watches: (Watch, Option<Watch>),
    /// The first line for clients of the reports socket.
    pub hello: Hello,
    /// Reports and samples.
    pub audience: Audience,
    /// Called when the wanted period changes.
    pub set_every: SetEvery,
}

/// Serves clients until the process ends. The sockets exist as long as the returned names.
///
/// # Errors
/// No thread can be started.
pub fn serve(sockets: Sockets, told: Told) -> io::Result<Vec<SocketName>> {
    let Sockets { status, reports } = sockets;
    let (mut listeners, mut names) = ([None, None], Vec::new());
    for (place, socket) in [status, reports].into_iter().enumerate() {
        if let Some(Socket { listener, name }) = socket {
            listener.set_nonblocking(true)?;
            listeners[place] = Some(listener);
            names.push(name);
        }
    }
    let [status, reports] = listeners;
    let [status, reports] = [status, reports].map(Door::new);
    let server = Server { status, reports, readers: Readers::new(told.hello.clone()), told, every: None };
    thread::Builder::new().name("status".to_owned()).spawn(move || server.run())?;
    Ok(names)
}

struct Server {
    status: Door,
    reports: Door,
    readers: Readers,
    told: Told,
    every: Option<Duration>,
}

/// What `poll` returned.
struct Ready {
    status: bool,
    reports: bool,
    /// For each reader: whether it can be read, can be written, and is closed at the other end.
    readers: Vec<[bool; 3]>,
}

impl Server {
    fn run(mut self) {
        loop {
            let ready = self.wait();
            let Inbox { reports, missed, look, .. } = self.told.audience.take();
            for report in reports {
                self.readers.report(&report);
            }
            self.readers.missed_reports(missed);
            let now = Instant::now();
            if let Some(look) = look {
                self.readers.look(look, now);
            }
            for (reader, [hears, writes, is_closed]) in self.readers.all().iter_mut().zip(&ready.readers) {
                if *hears && reader.listens() {
                    reader.hear(now);
                }
                if *writes || reader.waits() {
                    reader.write();
                }
                if *is_closed {
                    reader.hung_up();
                }
            }
            if ready.status {
                self.answer();
            }
            if ready.reports {
                self.admit();
            }
            self.readers.sweep();
            let every = self.readers.every();
            if every != self.every {
                (self.told.set_every)(every);
                self.every = every;
            }
            self.told.audience.told(self.readers.count() > 0);
        }
    }

    /// Waits for something to do.
    fn wait(&mut self) -> Ready {
        let now = Instant::now();
        let doors = [&mut self.status, &mut self.reports].map(|door| (door.pause(now), &*door));
        let pause = doors.iter().filter_map(|(pause, _)| *pause).min();
        let listeners = doors.map(|(pause, door)| door.listener.as_ref().filter(|_| pause.is_none()));
        let mut asked = vec![PollFd::new(self.told.audience.descriptor().as_fd(), PollFlags::POLLIN)];
        asked.extend(listeners.into_iter().flatten().map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
        let first = asked.len();
        let readers = self.readers.all();
        for reader in &*readers {
            let mut events = PollFlags::empty();
            events.set(PollFlags::POLLIN, reader.listens());
            events.set(PollFlags::POLLOUT, reader.waits());
            asked.push(PollFd::new(reader.stream.as_fd(), events));
        }
        let timeout = pause.map_or(PollTimeout::NONE, |pause| {
            PollTimeout::try_from(pause + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        // If it is interrupted, nothing is ready.
        let _ = poll(&mut asked, timeout);
        let has = |place: usize, flags| asked[place].revents().is_some_and(|events| events.intersects(flags));
        let mut place = 0;
        let [status, reports] = listeners.map(|listener| {
            place += usize::from(listener.is_some());
            listener.is_some() && has(place, PollFlags::POLLIN)
        });
        let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        let of_reader = |place| [PollFlags::POLLIN, PollFlags::POLLOUT, gone].map(|flags| has(place, flags));
        Ready { status, reports, readers: (first..asked.len()).map(of_reader).collect() }
    }

    fn answer(&mut self) {
        for client in self.status.accepted(Instant::now()) {
            let Told { latest, privileges, watches: (log, book), hello, .. } = &self.told;
            let (log, book) = (log.condition(), book.as_ref().map(Watch::condition));
            send(client, &Status::new(latest, hello.interval_s, privileges, log, book).json());
        }
    }

    fn admit(&mut self) {
        for client in self.reports.accepted(Instant::now()) {
            match Peer::of(&client) {
                Ok(peer) => {
                    self.told.audience.expect();
                    self.readers.admit(client, View::of(&peer));
                }
                Err(error) => tracing::debug!("who is a client of the reports socket cannot be told: {error}"),
            }
        }
    }
}

/// How many clients came in a window.
#[derive(Default)]
struct Turns {
    taken: usize,
    served: usize,
    of_users: BTreeMap<u32, usize>,
}

impl Turns {
    fn is_over(&self) -> bool {
        self.taken >= MAX_TAKEN || self.served >= MAX_SERVED
    }

    /// Counts a client of this user; returns whether it is served.
    fn take(&mut self, uid: u32, service: u32) -> bool {
        self.taken += 1;
        let of_user = self.of_users.entry(uid).or_default();
        let is_served = *of_user < MAX_OF_A_USER || [0, service].contains(&uid);
        *of_user += usize::from(is_served);
        self.served += usize::from(is_served);
        is_served
    }
}

/// Accepts clients of one socket, in each window only as many as is fair to the rest of the host.
struct Door {
    listener: Option<UnixListener>,
    window_end: Instant,
    turns: Turns,
    /// No client is accepted before this.
    closed_until: Option<Instant>,
}

impl Door {
    fn new(listener: Option<UnixListener>) -> Self {
        Self { listener, window_end: Instant::now() + WINDOW, turns: Turns::default(), closed_until: None }
    }

    /// How long no client is accepted from `now` on, if at all.
    fn pause(&mut self, now: Instant) -> Option<Duration> {
        self.closed_until = self.closed_until.filter(|until| *until > now);
        self.closed_until.map(|until| until - now)
    }

    /// Accepts waiting clients; returns those to serve.
    fn accepted(&mut self, now: Instant) -> Vec<UnixStream> {
        if now >= self.window_end {
            (self.window_end, self.turns) = (now + WINDOW, Turns::default());
        }
        let service = geteuid().as_raw();
        let mut clients = Vec::new();
        while !self.turns.is_over() {
            match self.listener.as_ref().map(UnixListener::accept) {
                Some(Ok((client, _))) => {
                    let uid = getsockopt(&client, sockopt::PeerCredentials).map_or(u32::MAX, |peer| peer.uid());
                    clients.extend(self.turns.take(uid, service).then_some(client));
                }
                Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => {
                    tracing::debug!("a client cannot be accepted: {error}");
                    self.closed_until = Some(now + ACCEPT_AGAIN);
                    return clients;
                }
                None | Some(Err(_)) => return clients,
            }
        }
        self.closed_until = Some(self.window_end);
        clients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_clients_waits_for_the_next_window() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut door = Door::new(Some(listener));
        let clients: Vec<_> = (0..MAX_SERVED + 20).map(|_| UnixStream::connect(&path).unwrap()).collect();
        let begin = door.window_end;
        assert_eq!(door.accepted(begin).len(), MAX_SERVED);
        assert_eq!(door.pause(begin), Some(WINDOW));
        assert!(door.accepted(begin + WINDOW / 2).is_empty());
        assert_eq!(door.pause(begin + WINDOW), None);
        assert_eq!(door.accepted(begin + WINDOW).len(), 20);
        assert_eq!(door.pause(begin + WINDOW), None, "nobody waits");
        drop(clients);
    }

    #[test]
    fn one_user_takes_no_turns_of_others() {
        let (mallory, alice, service) = (1_000, 1_001, 998);
        let mut turns = Turns::default();
        let served = (0..400).filter(|_| turns.take(mallory, service)).count();
        assert_eq!(served, MAX_OF_A_USER);
        assert!(!turns.is_over(), "others come behind them");
        assert!(turns.take(alice, service));
        for uid in [0, service] {
            assert_eq!((0..15).filter(|_| turns.take(uid, service)).count(), 15, "{uid}");
        }
        while turns.taken < MAX_TAKEN {
            assert!(!turns.is_over() && !turns.take(mallory, service));
        }
        assert!(turns.is_over(), "a flood waits for the next window");
    }
}
