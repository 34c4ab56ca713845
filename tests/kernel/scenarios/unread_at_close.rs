//! The reader closes with data unread: the kernel resets the connection. What arrived is received.

use anyhow::{Result, ensure};

use super::wire::Wire;
use super::{SERVER, Scenario, Test, go_on_and_finish, start_and_hold};
use crate::traffic::spec::{CHUNK, Step, receive, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("unread_at_close", run);

const SENT: u64 = 40_000;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let wire = Wire::watch(&world)?;
    connection(test, &world)?;
    let ends = wire.stop()?;
    let received = ends.by_user().user(SERVER).received;
    ensure!(received == SENT, "only {received} bytes had arrived before the end");
    ends.must_be_in(test, &counters.stop()?)
}

/// The server closes only after everything has arrived: else the reset might come before.
pub(super) fn connection(test: &Test, world: &World) -> Result<()> {
    let server = test.server([receive(10_000), Step::Hold]);
    let client = test.client([send(SENT, CHUNK), Step::AwaitAcknowledged, Step::Hold, receive_all()]);
    let (server, client) = start_and_hold(world, &server, &client)?;
    go_on_and_finish(world, server, client).map(drop)
}
