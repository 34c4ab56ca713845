//! Two servers of two users behind one port: root listens, each worker accepts as itself. The connection's own socket
//! tells whose it is, the listener's does not.

use anyhow::Result;

use super::{Scenario, Test, run_all};
use crate::traffic::spec::{Program, Role, receive, send};
use crate::world::{World, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("forked_workers", run).over_both();

const CONNECTIONS: u32 = 40;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let role = Role::Prefork { addr: listen_at(test.family), workers: vec![70_020_021, 70_020_022] };
    let server = test.server([receive(30_000), send(70_000, 7_000)]).times(CONNECTIONS, 1);
    let client = test.client([send(30_000, 3_000), receive(70_000)]).times(CONNECTIONS, 4);
    let truth = run_all([(&world.far, Program { uid: 0, role, ..server }), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth)
}
