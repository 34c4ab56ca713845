//! `SO_LINGER` 0: a reset with data that was never sent and data that was never read. Accounts have what was on the wire.

use anyhow::Result;

use super::wire::Wire;
use super::{Scenario, Test, finish_all, start_and_hold};
use crate::traffic::spec::{Step, receive, receive_all};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("reset", run);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let wire = Wire::watch(&world)?;
    let server = test.server([receive(50_000), Step::Hold, receive_all()]);
    let client = test.client([Step::Fill, Step::Reset, Step::Hold]);
    let (mut server, mut client) = start_and_hold(&world, &server, &client)?;
    client.go_on()?;
    world.near.wait_until_closed()?;
    server.go_on()?;
    finish_all([(&world.far, server), (&world.near, client)])?;
    wire.stop()?.must_be_in(test, &counters.stop()?)
}
