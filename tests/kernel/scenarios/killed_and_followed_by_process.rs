//! The service is killed and followed by another, while processes are told apart: each has its own bytes, whichever service
//! counted them.

use anyhow::Result;

use super::successors::{EACH, End, Succession, must_be_gone};
use super::{Scenario, Test, no_host_pids};
use crate::target::Target;
use crate::truth::By;

pub(super) const SCENARIO: Scenario =
    Scenario::new("killed_and_followed_by_process", run).targets(|target| target != Target::Packet).needs(no_host_pids);

fn run(test: &Test) -> Result<()> {
    let times = test.kills(20, 3)?;
    let kills = Succession {
        ends: End::Kill,
        by: By::PROCESS,
        folder: None,
        configs: &[],
        times,
        longest_pause_ms: 2_000,
        book: EACH,
    };
    let (store, objects) = kills.run(test)?;
    store.clear();
    must_be_gone(&objects)
}
