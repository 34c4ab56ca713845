//! `SO_RCVLOWAT`: reads that sleep until half a buffer is there.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{Receiving, receive_all_by, send};

pub(super) const SCENARIO: Scenario = Scenario::new("low_water", run);

fn run(test: &Test) -> Result<()> {
    let client = test.client([send(test.volume(20_000_000, 5_000_000), 1_000)]);
    let server = test.server([receive_all_by(Receiving::LowWater, 200_000)]);
    test.exchange(client, server)
}
