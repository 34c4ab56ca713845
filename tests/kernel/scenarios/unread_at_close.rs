//! The reader closes with data unread: the kernel resets the connection.
//!
//! What each backend owes: see `reset`.

use anyhow::Result;

use super::{Scenario, Test, finish_all, reset};
use crate::running::Running;
use crate::traffic::spec::{CHUNK, Step, receive, receive_all, send};
use crate::truth::Table;
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("unread_at_close", run);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let truth = connection(test, &world)?;
    reset::owes(test.target, &counters.stop()?, &truth)
}

/// The server closes only after the client has sent everything: else the reset might come while it still does.
pub(super) fn connection(test: &Test, world: &World) -> Result<Table> {
    let mut server = Running::start(&test.server([receive(10_000), Step::Hold]), &world.far)?;
    let mut client = Running::start(&test.client([send(40_000, CHUNK), Step::Hold, receive_all()]), &world.near)?;
    client.wait_for_hold()?;
    server.wait_for_hold()?;
    server.go_on()?;
    client.go_on()?;
    finish_all([(&world.far, server), (&world.near, client)])
}
