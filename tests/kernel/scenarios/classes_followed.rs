//! Users talk with three classes of networks while services follow each other, killed (ebpf, which keeps what it counts) or stopped
//! (packet, whose book has the positions of open connections). Every other service has the classes in another order, so they have other
//! numbers in the kernel: of each user every class has its own bytes, all of them, under its own name.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::killed_book::must_agree;
use super::open_while_stopped::seen;
use super::{CLIENT, SERVER, Scenario, Test, finish_actors};
use crate::running::Running;
use crate::service::{Log, Options, Service, Store};
use crate::traffic::spec::{CHUNK, Program, Step, receive, receive_all, send};
use crate::truth::{Account, By, Table};
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("classes_followed", run);

/// The classes of the networks 1, 2 and 3.
const CLASSES: [(u8, &str); 3] = [(1, "lan"), (2, "internet"), (3, "lab")];
const LAN: &str = "[[class]]\nname = 'lan'\nnetworks = ['10.77.1.0/24', '10.77.3.0/24']\nbilled = false\n";
const LAB: &str = "[[class]]\nname = 'lab'\nnetworks = ['10.77.3.0/30']\n";
const LIFE: Duration = Duration::from_millis(400);
const PAUSE: Duration = Duration::from_millis(300);
/// One of many writes, each way, and pause behind it.
const WRITE: u64 = 20_000;
const WRITE_PAUSE_MS: u64 = 5;

fn run(test: &Test) -> Result<()> {
    let (world, folder, store) = (World::new()?, TempDir::with_prefix("trafcalc-test-")?, Store::default());
    let (log, book) = (folder.path().join("traffic"), folder.path().join("book.db"));
    for (net, _) in CLASSES {
        world.near.address("veth0", net, 1)?;
        world.far.address("veth0", net, 2)?;
    }
    let options = |turn: u32| {
        let classes = if turn.is_multiple_of(2) { [LAN, LAB] } else { [LAB, LAN] };
        let options =
            Options { interval: "100ms", book: Some(book.clone()), store: store.clone(), ..Options::default() };
        let options = options.config(&classes.concat()).log_to(log.clone());
        if test.is_packet() { options } else { options.argument("--keep=systemd") }
    };
    let start = |turn| {
        let options = options(turn);
        if !test.is_packet() {
            options.store.prepare()?;
        }
        Service::start(test.target, &world.near, &options)
    };
    let mut service = start(0)?;
    let mut programs =
        CLASSES.map(|(net, _)| start_programs(test, &world, net)).into_iter().collect::<Result<Vec<_>>>()?;
    let times = test.volume(8, 2);
    for turn in 1..=times {
        sleep(LIFE);
        if test.is_packet() {
            service.stop()?;
        } else {
            service.kill()?;
        }
        sleep(PAUSE);
        service = start(turn)?;
    }
    let mut truth = Table::default();
    for programs in &mut programs {
        programs[1].wait_for_hold()?;
        programs[1].go_on()?;
    }
    for (programs, (_, class)) in programs.into_iter().zip(CLASSES) {
        for (account, bytes) in finish(&world, programs)?.0 {
            truth.add(Account { class: Some(class.to_owned()), ..account }, bytes);
        }
    }
    service.stop()?;
    let counted = Log::read(&log)?;
    must_agree(&counted, &book)?;
    let truth = seen(test, truth);
    ensure!(truth.0.len() >= CLASSES.len() && truth.total().sent > WRITE, "hardly any traffic: {truth:?}");
    counted.sum_of_intervals()?.must_equal(&truth)
}

fn finish(world: &World, programs: Vec<Running>) -> Result<Table> {
    Ok(finish_actors(programs.into_iter().map(|program| (&world.far, program)))?.by(By::USER))
}

/// A server and a client in one network that move bytes both ways all the time; where what happens between two services is counted,
/// also many connections that come and go.
fn start_programs(test: &Test, world: &World, net: u8) -> Result<Vec<Running>> {
    let (mut ask, mut serve) = (Vec::new(), Vec::new());
    for _ in 0..test.volume(700, 250) {
        ask.extend([send(WRITE + u64::from(net), CHUNK), receive(WRITE), Step::Pause(WRITE_PAUSE_MS)]);
        serve.extend([receive(WRITE + u64::from(net)), send(WRITE, CHUNK)]);
    }
    ask.extend([Step::Hold, Step::Shut, receive_all()]);
    serve.extend([receive_all(), send(WRITE, CHUNK)]);
    let (port, short) = (7_910 + u16::from(net), 7_920 + u16::from(net));
    let (listen, connect) = (listen_at(test.family), address_of(test.family, net, 2));
    let mut programs = vec![
        Running::start(&Program::listen(SERVER, listen, serve).on_port(port), &world.far)?,
        Running::start(&Program::connect(CLIENT, connect, ask).on_port(port), &world.near)?,
    ];
    if !test.is_packet() {
        let like = |program: Program| program.times(test.volume(400, 40), 2).on_port(short);
        let server = like(Program::listen(SERVER, listen, [receive_all(), send(700, 100)]));
        let steps = [send(3_001, CHUNK), Step::Pause(20), Step::Shut, receive_all()];
        programs.push(Running::start(&server, &world.far)?);
        programs.push(Running::start(&like(Program::connect(CLIENT, connect, steps)), &world.near)?);
    }
    Ok(programs)
}
