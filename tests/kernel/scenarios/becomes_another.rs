//! A process becomes another program (`exec`) with its connection open, as a login does: each program has its own bytes.

use anyhow::{Result, ensure};

use super::{CLIENT, Scenario, Test, no_host_pids, run_actors};
use crate::target::Target;
use crate::traffic::spec::{Program, Step, receive, receive_all, send};
use crate::truth::By;
use crate::world::World;

/// ebpf only: packet asks once who has a connection.
pub(super) const SCENARIO: Scenario =
    Scenario::new("becomes_another", run).targets(Target::is_ebpf).needs(no_host_pids);

fn run(test: &Test) -> Result<()> {
    for what in [By::PROGRAM, By::PROCESS] {
        let world = World::new()?;
        let counters = test.count_by(&world, what)?;
        let after = vec![send(20_000, 500), receive(7_000)];
        let steps = [send(10_000, 1_000), receive(3_000), Step::Become { name: "after".to_owned(), steps: after }];
        let client = Program { uid: 0, owner: Some(CLIENT), ..test.client(steps).called("before") };
        let server =
            test.server([receive(10_000), send(3_000, 1_000), receive(20_000), send(7_000, 700), receive_all()]);
        let truth = run_actors([(&world.far, server), (&world.near, client)])?.by(what);
        ensure!(truth.0.len() == 3, "the programs are not three: {truth:?}");
        counters.stop()?.must_equal(&truth)?;
    }
    Ok(())
}
