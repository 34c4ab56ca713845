//! Two containers, each with a network namespace and a cgroup of its own, in which one user runs one program: each
//! container has its own bytes.

use anyhow::{Result, ensure};

use super::{CLIENT, Scenario, Test, no_cgroups, run_actors};
use crate::traffic::spec::{Program, receive, send};
use crate::truth::By;
use crate::world::{Cgroup, World, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("two_containers", run).behind_the_hooks().needs(no_cgroups);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let name = |digit: &str| format!("docker-{}.scope", digit.repeat(64));
    let (one, other) = (Cgroup::new(&name("a"))?, Cgroup::new(&name("b"))?);
    let counters = test.count_by(&world, By::UNIT)?;
    let serve = test.lasting_longer([receive(30_000), send(70_000, 7_000)]);
    let server = Program::listen(CLIENT, listen_at(test.family), serve);
    let client = test.client(test.lasting_longer([send(30_000, 3_000), receive(70_000)]));
    let inside = |program: Program, cgroup| program.inside(cgroup).times(test.volume(10, 2), 2);
    let truth = run_actors([(&world.far, inside(server, &one)), (&world.near, inside(client, &other))])?.by(By::UNIT);
    ensure!(truth.0.len() == 2, "the two are not told apart by the programs themselves: {truth:?}");
    counters.stop()?.must_equal(&truth)
}
