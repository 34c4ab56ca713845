//! The traffic program: makes TCP traffic as a given user and states its own truth.
//!
//! Talks to the harness in lines of JSON on standard output, and waits for lines on standard input. What it states is
//! what its system calls returned; it must never look at what the service under test counted.

mod cgroup;
mod connection;
mod crowd;
mod family;
mod fork;
mod life;
mod random;
mod receive;
mod repair;
mod send;
mod socket;
pub(crate) mod spec;
mod sys;
mod tally;
mod tcp;
mod tls;
mod uring;

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;

use anyhow::{Context as _, Result};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use connection::Connection;
use family::{Child, Passage};
use spec::{Program, Role};
use tally::Tally;

/// Runs the program that `spec` describes.
pub(crate) fn main(spec: Option<&str>) -> ExitCode {
    match spec.context("a specification is missing").and_then(read).and_then(|program| run(&program)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("traffic: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The specification itself, or the file that it is in.
fn read(spec: &str) -> Result<Program> {
    Ok(match spec.strip_prefix('@') {
        Some(path) => serde_json::from_str(&std::fs::read_to_string(path)?)?,
        None => serde_json::from_str(spec)?,
    })
}

fn run(program: &Program) -> Result<()> {
    if let Some(folder) = &program.cgroup {
        cgroup::enter(folder)?;
    }
    let passage = Passage::for_steps(program)?;
    become_user(program.uid)?;
    if program.waits {
        connection::hold()?;
    }
    match &program.role {
        Role::Connect(addr) => in_threads(program, passage.as_ref(), || socket::connect(program, addr))?,
        Role::Listen(addr) => accept(program, &listen(program, addr)?)?,
        Role::ConnectCrowd(addr) => crowd::hold(program, || socket::connect(program, addr))?,
        Role::ListenCrowd(addr) => {
            let listener = listen(program, addr)?;
            crowd::hold(program, || socket::accept(program, &listener))?;
        }
        Role::Worker => accept(program, &TcpListener::from(family::standard_input()?))?,
        Role::Heir => in_threads(program, None, || Ok(TcpStream::from(family::standard_input()?)))?,
        Role::Recipient => in_threads(program, None, family::passed_connection)?,
        Role::Prefork { addr, workers } => prefork(program, &listen(program, addr)?, workers)?,
        Role::Delegate { addr, to } => delegate(program, &listen(program, addr)?, *to)?,
    }
    passage.map_or(Ok(()), Passage::finish)
}

fn become_user(uid: u32) -> Result<()> {
    if uid == 0 {
        return Ok(());
    }
    setgroups(&[])?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid).context("cannot become another user")
}

/// A listening socket; whoever starts us may connect from now on.
fn listen(program: &Program, addr: &std::net::SocketAddr) -> Result<TcpListener> {
    let listener = socket::listen(program, addr)?;
    tally::say("ready");
    Ok(listener)
}

fn accept(program: &Program, listener: &TcpListener) -> Result<()> {
    in_threads(program, None, || socket::accept(program, listener))
}

/// Every thread opens its share of the connections one after the other and takes each through the steps; then this
/// program tells what it did.
fn in_threads(program: &Program, passage: Option<&Passage>, open: impl Fn() -> Result<TcpStream> + Sync) -> Result<()> {
    let unit = program.cgroup.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let tally = Tally::inside(unit.unwrap_or_default());
    let meeting = Barrier::new(program.at_once as usize);
    let share = program.connections / program.at_once;
    let one_thread = || -> Result<()> {
        for _ in 0..share {
            Connection::new(open()?, program.owner(), &tally, &meeting, passage).run(&program.steps)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..program.at_once).map(|_| scope.spawn(one_thread)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a thread panicked"))
    })?;
    tally.print();
    Ok(())
}

fn prefork(program: &Program, listener: &TcpListener, workers: &[u32]) -> Result<()> {
    let connections = program.connections / u32::try_from(workers.len())?;
    let spawn = |&uid: &u32| {
        let worker = Program { uid, role: Role::Worker, connections, ..program.clone() };
        Child::start(&worker, listener.try_clone()?.into())
    };
    let children = workers.iter().map(spawn).collect::<Result<Vec<_>>>()?;
    children.into_iter().try_for_each(Child::finish)
}

fn delegate(program: &Program, listener: &TcpListener, to: u32) -> Result<()> {
    let owner = Some(program.owner());
    for _ in 0..program.connections {
        let connection = socket::accept(program, listener)?;
        let heir = Program { uid: to, owner, role: Role::Heir, connections: 1, at_once: 1, ..program.clone() };
        Child::start(&heir, connection.into())?.finish()?;
    }
    Ok(())
}
