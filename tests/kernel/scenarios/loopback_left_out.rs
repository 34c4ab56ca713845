//! Connections whose both ends are on this host are left out by default, through 127.0.0.1 and through the host's own
//! address alike; what goes out is counted meanwhile.

use anyhow::Result;

use super::{BOTH, Scenario, Test, loopback_counted, run_all};
use crate::traffic::spec::{CHUNK, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("loopback_left_out", run).families(BOTH);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    loopback_counted::talk_to_oneself(test, &world)?;
    let (client, server) = (test.client([send(1_000_000, CHUNK)]), test.server([receive_all()]));
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth)
}
