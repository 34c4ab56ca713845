//! 5,000 processes that each send 10,000 bytes and end before they could be looked up: every byte is in the right program's
//! account, and in that of the process, which is reported although it is gone.

use anyhow::{Result, ensure};

use super::{CLIENT, Scenario, Test, no_host_pids, run_actors};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{Step, receive_all, send};
use crate::truth::By;
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("gone_5000", run).targets(Target::is_ebpf).behind_the_hooks().needs(no_host_pids);

fn run(test: &Test) -> Result<()> {
    for (what, processes) in [(By::PROGRAM, test.volume(5_000, 100)), (By::PROCESS, test.volume(5_000, 100))] {
        let world = World::new()?;
        let options = Options { interval: "1d", ..Options::default() };
        let counters = test.count_with(&world, &options.argument(&what.option()))?;
        let child = Step::Fork { again: false, steps: vec![send(10_000, 10_000)] };
        let client = test.client([child]).called("short lived").times(processes, 1);
        let server = test.server([receive_all()]).times(processes, 1);
        let truth = run_actors([(&world.far, server), (&world.near, client)])?;
        let ours = truth.0.keys().filter(|account| account.uid == Some(CLIENT)).count();
        ensure!(ours == processes as usize, "a number was used again within the scenario: {ours} processes");
        counters.stop()?.must_equal(&truth.by(what))?;
    }
    Ok(())
}
