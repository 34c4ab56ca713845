//! A server accepts as one user and talks as another, from a child process: the bytes are the socket's owner's.

use anyhow::Result;

use super::{SERVER, Scenario, Test, run_all};
use crate::traffic::spec::{CHUNK, Program, Role, receive, send};
use crate::world::{World, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("setuid_after_accept", run);

const CONNECTIONS: u32 = 5;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let role = Role::Delegate { addr: listen_at(test.family), to: 70_020_041 };
    let server = test.server([receive(300_000), send(70_000, CHUNK)]).times(CONNECTIONS, 1);
    let server = Program { uid: 0, owner: Some(SERVER), role, ..server };
    let client = test.client([send(300_000, CHUNK), receive(70_000)]).times(CONNECTIONS, 1);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth)
}
