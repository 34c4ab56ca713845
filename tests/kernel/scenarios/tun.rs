//! A tun device: packets without a link layer.

use anyhow::Result;

use super::{Scenario, Test, run_all};
use crate::target::Family;
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::world::{Line, Namespace, Quality, TUN, World};

pub(super) const SCENARIO: Scenario = Scenario::new("tun", run).over_both().needs(missing);

pub(super) fn missing(_: Family) -> Option<&'static str> {
    let try_one = || Line::between(&Namespace::new()?, &Namespace::new()?, Quality::default());
    try_one().is_err().then_some("this kernel has no tun device")
}

fn run(test: &Test) -> Result<()> {
    over(test, Quality::default(), test.volume(20_000_000, 2_000_000))
}

/// Sends `bytes` each way over a line of tun devices; every byte must be right.
pub(super) fn over(test: &Test, quality: Quality, bytes: u64) -> Result<()> {
    let world = World { near: Namespace::new()?, far: Namespace::new()? };
    let _line = Line::between(&world.near, &world.far, quality)?;
    world.near.address(TUN, 0, 1)?;
    world.far.address(TUN, 0, 2)?;
    let counters = test.count(&world)?;
    let client = test.client([send(bytes, CHUNK), Step::Shut, receive_all()]);
    let server = test.server([receive_all(), send(bytes, 1_000)]);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth)
}
