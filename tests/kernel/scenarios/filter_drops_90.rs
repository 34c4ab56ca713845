//! The kernel's filter throws away 90 % of the data segments: the cursors do not need them.

use anyhow::Result;

use super::{Scenario, Test, run_all};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("filter_drops_90", run).over_both().targets(|target| target == Target::Packet);

fn run(test: &Test) -> Result<()> {
    let options = Options::default().environment("TRAFCALC_TEST_DROP_PERCENT", &90);
    let bytes = test.volume(300_000_000, 10_000_000);
    let client = test.client([send(bytes, CHUNK), Step::Shut, receive_all()]);
    let server = test.server([receive_all(), send(bytes, 1_000)]);
    let world = World::new()?;
    let counters = test.count_with(&world, &options)?;
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth)
}
