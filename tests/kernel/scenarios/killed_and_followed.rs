//! The service is killed at random moments and started again up to 2 s later, while a store keeps its descriptor: what moved
//! meanwhile is counted, and no byte twice. When the store closes the descriptor, nothing is left.

use anyhow::{Result, ensure};

use super::successors::{EACH, End, Succession, must_be_gone, must_be_there};
use super::{Scenario, Test};
use crate::target::Target;
use crate::truth::By;

pub(super) const SCENARIO: Scenario =
    Scenario::new("killed_and_followed", run).targets(|target| target != Target::Packet);

fn run(test: &Test) -> Result<()> {
    let times = test.kills(20, 3)?;
    let kills = Succession {
        ends: End::Kill,
        by: By::USER,
        folder: None,
        configs: &[],
        times,
        longest_pause_ms: 2_000,
        book: EACH,
    };
    let (store, objects) = kills.run(test)?;
    must_be_there(&objects)?;
    ensure!(store.names() == ["trafcalc-bpf"], "these are kept: {:?}", store.names());
    store.clear();
    must_be_gone(&objects)
}
