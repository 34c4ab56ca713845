//! A process is moved to another cgroup while it has a connection: what it moved before and after is told apart.

use anyhow::{Result, ensure};

use super::{CLIENT, SERVER, Scenario, Test, no_cgroups, run_actors};
use crate::target::Target;
use crate::traffic::spec::{Program, Step, receive, receive_all, send};
use crate::truth::By;
use crate::world::{Cgroup, World};

pub(super) const SCENARIO: Scenario =
    Scenario::new("moved_between_cgroups", run).targets(Target::is_ebpf).needs(no_cgroups);

fn run(test: &Test) -> Result<()> {
    count(test, By::UNIT)
}

pub(super) fn count(test: &Test, what: By) -> Result<()> {
    let world = World::new()?;
    let cgroups = ["trafcalc-a.service", "trafcalc-b.scope"].map(Cgroup::new);
    let [first, second] = cgroups;
    let (first, second) = (first?, second?);
    let counters = test.count_by(&world, what)?;
    let enter = |cgroup: &Cgroup| Step::Enter(cgroup.path().to_owned());
    let steps = [send(100_000, 1_000), receive(30_000), enter(&second), send(200_000, 1_000), enter(&first)];
    let steps = [&steps[..], &[send(5_000, 5_000), receive(40_000)]].concat();
    let client = Program { uid: 0, owner: Some(CLIENT), ..test.client(steps) }.inside(&first);
    let server = test.server([send(30_000, 1_000), receive(305_000), send(40_000, 1_000), receive_all()]);
    let server = Program { uid: 0, owner: Some(SERVER), ..server }.inside(&second);
    let truth = run_actors([(&world.far, server), (&world.near, client)])?.by(what);
    ensure!(truth.0.len() == 3, "the accounts are not three: {truth:?}");
    counters.stop()?.must_equal(&truth)
}
