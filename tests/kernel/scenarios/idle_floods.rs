//! Thousands of idle connections, of one user and within the host, leave room for another user's: he is counted to the
//! byte and has nothing in `(other)`, although `max_connections` are fewer.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result};

use super::{Scenario, Test};
use crate::running::Running;
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Program, Step, receive, receive_all, send};
use crate::truth::{By, Table};
use crate::world::{Namespace, World, address_of, listen_at};

/// ebpf only: a packet socket has a table of connections with a size, which anybody can fill.
pub(super) const SCENARIO: Scenario = Scenario::new("idle_floods", run).targets(|target| target != Target::Packet);

const IDLER: u32 = 70_020_061;

/// Connections of the user who moves something, and bytes each way on each.
const CONNECTIONS: u32 = 200;
const EACH: u64 = 50_000;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let (room, idle, within) = test.volume((5_000, 6_000, 3_000), (250, 300, 150));
    let options = Options::default().config(&format!("[ebpf]\nmax_connections = {room}"));
    let counters = test.count_with(&world, &options)?;
    let own = address_of(test.family, 0, 1).ip();
    let crowds = [
        crowd(&world.near, &world.near, Ipv4Addr::LOCALHOST.into(), 7061, within)?,
        crowd(&world.near, &world.near, own, 7062, within)?,
        crowd(&world.near, &world.far, address_of(test.family, 0, 2).ip(), 7063, idle)?,
    ];
    let truth = busy(test, &world)?;
    end(&world, crowds)?;
    let mut counted = counters.stop()?;
    // Whose connections there are too many of may have his bytes elsewhere.
    counted.table.forget(&[IDLER]);
    let others = counted.table.named("(other)");
    let most = 2 * u64::from(idle);
    anyhow::ensure!(others.sent + others.received <= most, "{others:?} are more than the idle connections moved");
    counted.table.0.retain(|account, _| account.uid.is_some());
    counted.must_equal(&truth)
}

/// Two programs with so many connections that each carried one byte; both hold.
fn crowd(from: &Namespace, to: &Namespace, ip: IpAddr, port: u16, connections: u32) -> Result<[Running; 2]> {
    let any = listen_at(crate::target::Family::Ipv4);
    let server = Program::listen(IDLER, any, [receive(1)]).on_port(port).crowd(connections);
    let client = Program::connect(IDLER, (ip, port).into(), [send(1, 1)]).crowd(connections);
    let mut programs = [Running::start(&server, to)?, Running::start(&client, from)?];
    programs.iter_mut().try_for_each(Running::wait_for_hold)?;
    Ok(programs)
}

fn end(world: &World, crowds: [[Running; 2]; 3]) -> Result<()> {
    for mut program in crowds.into_iter().flatten() {
        program.go_on()?;
        program.finish().context("an idle program")?;
    }
    [&world.near, &world.far].into_iter().try_for_each(Namespace::wait_until_closed)
}

/// Many connections at once, which move something before and after a report.
fn busy(test: &Test, world: &World) -> Result<Table> {
    let connections = test.volume(CONNECTIONS, 20);
    let pause = Step::Pause(1_500);
    let client = [send(EACH, CHUNK), receive(EACH), pause.clone(), send(EACH, CHUNK), receive(EACH), pause];
    let answers = [receive(EACH), send(EACH, CHUNK), receive(EACH), send(EACH, CHUNK), receive_all()];
    let client = test.client(client).times(connections, connections);
    let server = test.server(answers).times(connections, connections);
    let programs = [Running::start(&server, &world.far)?, Running::start(&client, &world.near)?];
    let mut truth = Table::default();
    for program in programs {
        truth.merge(program.finish()?);
    }
    Ok(truth.by(By::USER))
}
