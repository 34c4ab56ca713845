//! A report comes while a connection waits to be accepted: what arrived till then is of the user who accepts it, not of the
//! one who listens.

use anyhow::Result;

use super::{Counters, Scenario, Test, finish_all};
use crate::running::Running;
use crate::service::Options;
use crate::traffic::spec::{Program, Role, Step, receive, receive_all, send};
use crate::world::{World, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("report_before_accept", run);

const BYTES: u64 = 30_000;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let services = test.start(&world, &Options { interval: "1d", ..Options::default() })?;
    let role = Role::Prefork { addr: listen_at(test.family), workers: vec![70_020_021] };
    let server = test.server([receive(BYTES), receive_all()]).times(2, 1);
    let server = Running::start(&Program { uid: 0, role, ..server }, &world.far)?;
    // The worker goes on to the second connection when the first is over.
    let client = test.client([send(BYTES, 1_000), Step::AwaitAcknowledged, Step::Hold]);
    let mut clients = [Running::start(&client, &world.near)?, Running::start(&client, &world.near)?];
    for client in &mut clients {
        client.wait_for_hold()?;
    }
    for service in &services {
        service.report_now()?;
    }
    for client in &mut clients {
        client.go_on()?;
    }
    let [first, second] = clients;
    let truth = finish_all([(&world.far, server), (&world.near, first), (&world.near, second)])?;
    Counters::Own(services).stop()?.must_equal(&truth)
}
