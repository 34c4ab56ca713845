//! A filter for one process that forks: without `--children` it has its own bytes alone, with it also theirs. Other processes
//! of its user have none.

use anyhow::Result;

use super::{Scenario, Test, finish_actors, no_host_pids};
use crate::running::Running;
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{Program, Step, receive, receive_all, send};
use crate::truth::By;
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("only_a_family", run).targets(Target::is_ebpf).behind_the_hooks().needs(no_host_pids);

fn run(test: &Test) -> Result<()> {
    for children in [false, true] {
        let world = World::new()?;
        let server = test.server([send(9_000, 1_000), receive_all()]).times(2, 2);
        let server = Running::start(&server, &world.far)?;
        let grandchild = Step::Fork { again: false, steps: vec![send(4_000, 500), Step::AwaitAcknowledged] };
        let child = Step::Fork { again: false, steps: vec![send(20_000, 1_000), Step::AwaitAcknowledged, grandchild] };
        // What is not transmitted when another process goes on is that one's.
        let steps = [send(30_000, 1_000), Step::AwaitAcknowledged, child, receive(9_000), send(700, 100)];
        let client = Program { waits: true, ..test.client(steps) };
        let mut wanted = Running::start(&client, &world.near)?;
        wanted.wait_for_hold()?;
        let other = Running::start(&stranger(test), &world.near)?;
        let options = Options::default().argument("--by=process").argument(&format!("--pid={}", wanted.pid()));
        let options = if children { options.argument("--children") } else { options };
        let counters = test.count_with(&world, &options)?;
        let pid = wanted.pid();
        wanted.go_on()?;
        let mut truth = finish_actors([(&world.near, wanted)])?.by(By::PROCESS);
        finish_actors([(&world.near, other), (&world.far, server)])?;
        if !children {
            truth = truth.split(|account| account.pid == Some(pid)).0;
        }
        counters.stop()?.must_be_only(&truth)?;
    }
    Ok(())
}

/// Another process of the same user.
fn stranger(test: &Test) -> Program {
    test.client([send(50_000, 1_000), receive(9_000), Step::Pause(test.volume(300, 3_000)), send(50_000, 1_000)])
}
