//! The reader closes with data unread: the kernel resets the connection.
//!
//! What each backend owes: see `reset`.

use anyhow::Result;

use super::{Scenario, Test, finish_all, reset};
use crate::running::Running;
use crate::traffic::spec::{CHUNK, Step, receive, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("unread_at_close", run);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let mut server = Running::start(&test.server([receive(10_000), Step::Hold]), &world.far)?;
    let mut client = Running::start(&test.client([send(40_000, CHUNK), Step::Hold, receive_all()]), &world.near)?;
    client.wait_for_hold()?;
    server.wait_for_hold()?;
    server.go_on()?;
    client.go_on()?;
    let truth = finish_all([(&world.far, server), (&world.near, client)])?;
    reset::owes(test.target, &counters.stop()?, &truth)
}
