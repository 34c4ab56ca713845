//! More moves while the service is stopped than sequence numbers can tell apart, and then the sender closes its direction: all of it
//! is counted, and the FIN is no byte. Once the near end sends, once the far one.

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::open_while_stopped::{is_swept_or_packet, seen};
use super::{Scenario, Test, finish_all, start_and_hold};
use crate::service::{Log, Options, Service};
use crate::traffic::spec::{CHUNK, Step, receive, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("closed_while_stopped", run).targets(is_swept_or_packet).behind_the_hooks();

const BEFORE: u64 = 100_000;
const AFTER: u64 = 30_000;

fn run(test: &Test) -> Result<()> {
    transfer(test, true)?;
    transfer(test, false)
}

fn transfer(test: &Test, client_sends: bool) -> Result<()> {
    let meanwhile = test.volume(5_000_000_000, 50_000_000);
    let sender = vec![send(BEFORE, CHUNK), Step::Hold, send(meanwhile, CHUNK), Step::Shut, Step::Hold, receive_all()];
    let receiver = vec![receive(BEFORE), Step::Hold, receive_all(), Step::Hold, send(AFTER, CHUNK)];
    let (client, server) = if client_sends { (sender, receiver) } else { (receiver, sender) };
    let (world, folder) = (World::new()?, TempDir::with_prefix("trafcalc-test-")?);
    let log = folder.path().join("traffic");
    let options = Options { book: Some(folder.path().join("book.db")), ..Options::default() }.log_to(log.clone());
    let mut service = Service::start(test.target, &world.near, &options)?;
    let (mut server, mut client) = start_and_hold(&world, &test.server(server), &test.client(client))?;
    service.stop()?;
    server.go_on()?;
    client.go_on()?;
    server.wait_for_hold()?;
    client.wait_for_hold()?;
    service = Service::start(test.target, &world.near, &options)?;
    server.go_on()?;
    client.go_on()?;
    let truth = finish_all([(&world.far, server), (&world.near, client)])?;
    service.stop()?;
    let counted = Log::read(&log)?;
    counted.sum_of_intervals()?.must_equal(&seen(test, truth))?;
    ensure!(counted.reports.len() >= 2, "{} reports", counted.reports.len());
    Ok(())
}
