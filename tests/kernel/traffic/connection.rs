//! One connection and the steps it is taken through.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Uid, fchown, seteuid};

use super::family::{self, Passage};
use super::spec::{Program, Role, Sending, Step};
use super::tally::{self, Tally};
use super::{cgroup, fork, life, random, receive, repair, send, tcp};
use crate::truth::Bytes;

/// A connection and whose it is.
pub(super) struct Connection<'a> {
    socket: TcpStream,
    owner: u32,
    tally: &'a Tally,
    meeting: &'a Barrier,
    passage: Option<&'a Passage>,
    last_child: Option<i32>,
}

impl<'a> Connection<'a> {
    pub(super) fn new(
        socket: TcpStream,
        owner: u32,
        tally: &'a Tally,
        meeting: &'a Barrier,
        passage: Option<&'a Passage>,
    ) -> Self {
        Self { socket, owner, tally, meeting, passage, last_child: None }
    }

    /// Takes every step and closes the connection.
    pub(super) fn run(mut self, steps: &[Step]) -> Result<()> {
        self.take(steps)
    }

    /// Takes every step.
    pub(super) fn take(&mut self, steps: &[Step]) -> Result<()> {
        steps.iter().try_for_each(|step| self.step(step).with_context(|| format!("{step:?}")))
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match *step {
            Step::Send { how, bytes, chunk } => self.send(how, bytes, chunk)?,
            Step::SendByThreads { threads, bytes, chunk } => self.send_by_threads(threads, bytes, chunk)?,
            Step::Fill => send::fill(&self.socket, |sent| self.sent(sent))?,
            Step::Receive { how, bytes, chunk } => {
                receive::receive(how, &self.socket, bytes, chunk, |received| self.received(received))?;
            }
            Step::Offer { bytes, chunk } => send::offer(&self.socket, bytes, chunk, |sent| self.sent(sent))?,
            Step::Peek { bytes } => life::peek(&self.socket, bytes)?,
            Step::AwaitUnread { bytes } => life::wait_for_unread(&self.socket, bytes)?,
            Step::AwaitAcknowledged => life::wait_until_acknowledged(&self.socket)?,
            Step::AwaitReset => life::wait_for_reset(&self.socket)?,
            Step::Disconnect => tcp::disconnect(&self.socket)?,
            Step::Connect(addr) => life::connect_again(&self.socket, &addr)?,
            Step::ConnectUnderRepair(addr) => repair::connect(&self.socket, &addr)?,
            Step::Renumber { queue, by } => repair::renumber(&self.socket, queue, by)?,
            Step::Move { detour } => repair::move_here(&self.socket, detour)?,
            Step::Random { seed } => random::live(&self.socket, seed)?,
            Step::Shut => self.socket.shutdown(Shutdown::Write)?,
            Step::Reset => setsockopt(&self.socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?,
            Step::Hold => hold()?,
            Step::Pause(ms) => thread::sleep(Duration::from_millis(ms)),
            Step::Meet => drop(self.meeting.wait()),
            Step::Chown(uid) => self.chown(uid)?,
            Step::ChownInVain(uid) => ensure!(self.chown(uid).is_err(), "everybody may give sockets away"),
            Step::ActAs(uid) => act_as(uid)?,
            Step::Enter(ref cgroup) => self.tally.goes_on_inside(cgroup::enter(cgroup)?),
            Step::Become { ref name, ref steps } => self.become_program(name, steps)?,
            Step::Fork { again, ref steps } => self.fork(again, steps)?,
            Step::Pass { .. } => self.passage.context("nobody to pass it to")?.pass(&self.socket)?,
        }
        Ok(())
    }

    fn send(&self, how: Sending, bytes: u64, chunk: usize) -> Result<()> {
        send::send(how, &self.socket, bytes, chunk, |sent| self.sent(sent))
    }

    fn send_by_threads(&self, threads: u32, bytes: u64, chunk: usize) -> Result<()> {
        thread::scope(|scope| {
            let spawn = |_| scope.spawn(|| self.send(Sending::Plain, bytes, chunk));
            let threads: Vec<_> = (0..threads).map(spawn).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("a thread panicked"))
        })
    }

    /// A child that is this program, with bytes of its own.
    fn fork(&mut self, again: bool, steps: &[Step]) -> Result<()> {
        let number = self.last_child.filter(|_| again);
        self.last_child = Some(fork::child(number, || {
            let tally = Tally::default();
            let socket = self.socket.try_clone()?;
            Connection::new(socket, self.owner, &tally, self.meeting, None).run(steps)?;
            tally.print();
            Ok(())
        })?);
        Ok(())
    }

    /// Tells what was done so far; what follows the other program tells.
    fn become_program(&self, name: &str, steps: &[Step]) -> Result<()> {
        self.tally.print();
        let owner = Some(self.owner);
        let heir = Program { owner, role: Role::Heir, ..Program::connect(0, self.socket.peer_addr()?, steps) };
        Err(family::become_program(name, &heir, self.socket.try_clone()?.into()))
    }

    fn chown(&mut self, uid: u32) -> Result<()> {
        fchown(&self.socket, Some(Uid::from_raw(uid)), None)?;
        self.owner = uid;
        Ok(())
    }

    fn sent(&self, sent: u64) {
        self.tally.add(self.owner, Bytes { sent, received: 0 });
    }

    fn received(&self, received: u64) {
        self.tally.add(self.owner, Bytes { sent: 0, received });
    }
}

/// Only root may become anybody, so it is root in between.
fn act_as(uid: u32) -> Result<()> {
    seteuid(Uid::from_raw(0))?;
    Ok(seteuid(Uid::from_raw(uid))?)
}

pub(super) fn hold() -> Result<()> {
    tally::say("hold");
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(())
}
