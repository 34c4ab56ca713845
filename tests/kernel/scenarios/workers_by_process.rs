//! Three workers behind one port, two of them of one user: each process has its own bytes. Clients use several threads,
//! which are one process.

use anyhow::Result;

use super::{Scenario, Test, no_host_pids, run_actors};
use crate::traffic::spec::{Program, Role, receive, send};
use crate::truth::By;
use crate::world::{World, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("workers_by_process", run).needs(no_host_pids);

fn run(test: &Test) -> Result<()> {
    let connections = test.volume(60, 12);
    let world = World::new()?;
    let counters = test.count_by(&world, By::PROCESS)?;
    let workers = vec![70_020_051, 70_020_051, 70_020_052];
    let role = Role::Prefork { addr: listen_at(test.family), workers };
    let server = test.server(test.lasting_longer([receive(30_000), send(70_000, 7_000)])).times(connections, 1);
    let client = test.client(test.lasting_longer([send(30_000, 3_000), receive(70_000)])).times(connections, 4);
    let truth = run_actors([(&world.far, Program { uid: 0, role, ..server }), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth.by(By::PROCESS))
}
