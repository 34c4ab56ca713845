//! A service that keeps nothing in the kernel is stopped and started again while connections move bytes: what those moved meanwhile
//! that are still open is in the next report, and the time is a gap.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::killed_book::must_agree;
use super::{CLIENT, Scenario, Test, finish_actors, no_host_pids};
use crate::running::Running;
use crate::service::{Log, Options, Service};
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Program, Step, receive, receive_all, send};
use crate::truth::{By, Table};
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("open_while_stopped", |test| run(test, By::USER)).targets(is_swept_or_packet).behind_the_hooks();

/// The process is found anew at each start.
pub(super) const BY_PROCESS: Scenario = Scenario::new("open_while_stopped_by_process", |test| run(test, By::PROCESS))
    .targets(|target| target == Target::Packet)
    .needs(no_host_pids);

const LIFE: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(400);
/// One of many writes, each way.
const WRITE: u64 = 30_000;

pub(super) fn is_swept_or_packet(target: Target) -> bool {
    target == Target::Packet || target.is_ebpf()
}

fn run(test: &Test, by: By) -> Result<()> {
    let (world, folder) = (World::new()?, TempDir::with_prefix("trafcalc-test-")?);
    let log = folder.path().join("traffic");
    let book = folder.path().join("book.db");
    let options = Options { interval: "100ms", book: Some(book.clone()), ..Options::default() }
        .argument(&by.option())
        .log_to(log.clone());
    let times = test.volume(8_usize, 2);
    let mut service = Service::start(test.target, &world.near, &options)?;
    let (client, server) = programs(test);
    let server = Running::start(&server, &world.far)?;
    let mut client = Running::start(&client, &world.near)?;
    for _ in 0..times {
        sleep(LIFE);
        service.stop()?;
        sleep(PAUSE);
        service = Service::start(test.target, &world.near, &options)?;
    }
    client.wait_for_hold()?;
    client.go_on()?;
    let truth = finish_actors([(&world.far, server), (&world.near, client)])?.by(by);
    service.stop()?;
    let counted = Log::read(&log)?;
    must_agree(&counted, &book)?;
    counted.sum_of_intervals()?.must_equal(&seen(test, truth))?;
    let gaps = std::fs::read_to_string(&log)?.matches(r#""type":"gap""#).count();
    ensure!(gaps == times, "{gaps} gaps in the log of {times} stops");
    Ok(())
}

/// A client and a server that move bytes both ways, and close each direction after another.
fn programs(test: &Test) -> (Program, Program) {
    let (mut client, mut server) = (Vec::new(), Vec::new());
    for _ in 0..1_000 {
        client.extend([send(WRITE, CHUNK), receive(WRITE), Step::Pause(5)]);
        server.extend([receive(WRITE), send(WRITE, CHUNK)]);
    }
    client.extend([Step::Hold, Step::Shut, receive_all()]);
    server.extend([receive_all(), send(WRITE, CHUNK)]);
    (test.client(client), test.server(server))
}

/// What the service sees of the truth: packet, which is on the client's side, has nothing of the server.
pub(super) fn seen(test: &Test, mut truth: Table) -> Table {
    truth.0.retain(|account, _| !test.is_packet() || account.uid == Some(CLIENT));
    truth
}
