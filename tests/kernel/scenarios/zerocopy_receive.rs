//! `TCP_ZEROCOPY_RECEIVE`: pages of the receive queue are mapped into the reader. The sender splices whole pages, which
//! is what makes them mappable on a veth.

use anyhow::Result;

use super::{Scenario, Test, finish_all};
use crate::running::Running;
use crate::traffic::spec::{CHUNK, Receiving, Sending, receive_all_by, send_by};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("zerocopy_receive", run);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let server = test.server([receive_all_by(Receiving::Mapped, 4 * CHUNK)]);
    let client = test.client([send_by(Sending::Splice, test.volume(50_000_000, 5_000_000), CHUNK)]);
    let mut server = Running::start(&server, &world.far)?;
    let client = Running::start(&client, &world.near)?;
    server.wait_for_mapping()?;
    let truth = finish_all([(&world.far, server), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth)
}
