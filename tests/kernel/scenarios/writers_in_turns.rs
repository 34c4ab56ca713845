//! A process that sends without a pause goes to and fro between two cgroups, while reports come as often as they may: a look meets each
//! moment of a change of writers.

use anyhow::{Result, ensure};

use super::{CLIENT, SERVER, Scenario, Test, no_cgroups};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{Program, Step, receive, send};
use crate::truth::By;
use crate::world::{Cgroup, World};

pub(super) const SCENARIO: Scenario = Scenario::new("writers_in_turns", run).targets(Target::is_ebpf).needs(no_cgroups);

const TURNS: usize = 200;
const BYTES: u64 = 20_000;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let [first, second] = ["trafcalc-a.service", "trafcalc-b.scope"].map(Cgroup::new);
    let (first, second) = (first?, second?);
    let mut options = Options::default().argument(&By::UNIT.option());
    options.interval = "100ms";
    let counters = test.count_with(&world, &options)?;
    let enter = |cgroup: &Cgroup| Step::Enter(cgroup.path().to_owned());
    // The peer's answer has the writers begin each time with nothing that was not sent: a connection remembers two of them.
    let turn = [enter(&second), send(BYTES, 1_000), enter(&first), send(BYTES, 1_000), receive(1)];
    let answer = [receive(2 * BYTES), send(1, 1)];
    let client = Program { uid: 0, owner: Some(CLIENT), ..test.client(repeated(&turn)) }.inside(&first);
    let server = Program { uid: 0, owner: Some(SERVER), ..test.server(repeated(&answer)) }.inside(&first);
    let truth = super::run_actors([(&world.far, server), (&world.near, client)])?.by(By::UNIT);
    ensure!(truth.0.len() == 3, "the accounts are not three: {truth:?}");
    counters.stop()?.must_equal(&truth)
}

fn repeated(steps: &[Step]) -> Vec<Step> {
    steps.iter().cycle().take(steps.len() * TURNS).cloned().collect()
}
