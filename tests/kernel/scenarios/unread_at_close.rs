//! The reader closes with data unread: the kernel resets the connection.
//!
//! What each backend owes: see `reset`.

use anyhow::Result;

use super::{Scenario, Test, go_on_and_finish, reset, start_and_hold};
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
    let server = test.server([receive(10_000), Step::Hold]);
    let client = test.client([send(40_000, CHUNK), Step::Hold, receive_all()]);
    let (server, client) = start_and_hold(world, &server, &client)?;
    go_on_and_finish(world, server, client)
}
