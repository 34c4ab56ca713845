//! The service ends while a connection waits to be accepted: the last report has what arrived, for who listens.

use anyhow::Result;

use super::{Counters, Scenario, Test, finish_all};
use crate::running::Running;
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{Step, receive, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("stop_before_accept", run).targets(Target::is_ebpf);

const BYTES: u64 = 30_000;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let services = test.start(&world, &Options { interval: "1d", ..Options::default() })?;
    // It goes on to the second connection when the first is over.
    let server = Running::start(&test.server([receive(BYTES), receive_all()]).times(2, 1), &world.far)?;
    let client = test.client([send(BYTES, 1_000), Step::AwaitAcknowledged, Step::Hold]);
    let mut clients = [Running::start(&client, &world.near)?, Running::start(&client, &world.near)?];
    for client in &mut clients {
        client.wait_for_hold()?;
    }
    let counted = Counters::Own(services).stop()?;
    for client in &mut clients {
        client.go_on()?;
    }
    let [first, second] = clients;
    counted.must_equal(&finish_all([(&world.far, server), (&world.near, first), (&world.near, second)])?)
}
