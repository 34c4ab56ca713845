//! The capture loses every acknowledgement of a client that only downloads, up to its FIN. How much arrived before, the server's SYN-ACK
//! says, and the kernel confirms, because the connection lasts long enough to ask.

use anyhow::Result;

use super::{Scenario, Test, run_all};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Step, receive, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("acknowledgements_lost", run).over_both().targets(|target| target == Target::Packet);

const BYTES: u64 = 3_000_000;
/// The server closes so many milliseconds after the client.
const LATER_MS: u64 = 1_000;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count_with(&world, &Options::default().environment("TRAFCALC_TEST_DROP_PERCENT", &100))?;
    let client = test.client([receive(BYTES), Step::Shut, receive_all()]);
    let server = test.server([send(BYTES, CHUNK), receive_all(), Step::Pause(test.volume(LATER_MS, 5 * LATER_MS))]);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth)
}
