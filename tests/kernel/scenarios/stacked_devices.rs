//! A bridge with an address of its own over the veth: every packet of a connection passes two devices and counts once.

use anyhow::Result;

use super::{Scenario, Test, bridged, run_all};
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::world::{Namespace, World};

pub(super) const SCENARIO: Scenario = Scenario::new("stacked_devices", run).over_both().needs(bridged::missing);

fn run(test: &Test) -> Result<()> {
    let world = World { near: Namespace::new()?, far: Namespace::new()? };
    world.near.join("veth0", &world.far, "veth0")?;
    for (host, namespace) in [(1, &world.near), (2, &world.far)] {
        namespace.ip("link add bridge0 type bridge")?;
        namespace.ip("link set veth0 master bridge0")?;
        namespace.ip("link set bridge0 up")?;
        namespace.address("bridge0", 0, host)?;
    }
    let counters = test.count(&world)?;
    let client = test.client([send(20_000_000, CHUNK), Step::Shut, receive_all()]);
    let server = test.server([receive_all(), send(10_000_000, CHUNK)]);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth)
}
