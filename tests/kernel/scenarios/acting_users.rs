//! Processes that act as another user than the owner of their socket: a child of another user that gets a connection
//! after it was accepted, and a server that becomes its user for a while. With `--owner acting` the bytes belong to the user
//! as whom each acts.

use anyhow::Result;

use super::{CLIENT, SERVER, Scenario, Test, run_actors};
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Program, Role, Step, receive, receive_all, send};
use crate::truth::By;
use crate::world::{World, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("acting_users", run).targets(Target::is_ebpf);

const CONNECTIONS: u32 = 5;
/// Whom the server hands its connections to.
const HEIR: u32 = 70_020_071;
/// Whom the client acts as for a while.
const GUESTS: [u32; 2] = [70_020_072, 70_020_073];

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count_by(&world, By::ACTING)?;
    let role = Role::Delegate { addr: listen_at(test.family), to: HEIR };
    let steps = [receive(100_000), send(30_000, CHUNK), receive(250_000), send(40_000, CHUNK), receive_all()];
    let server = Program { uid: 0, owner: Some(SERVER), role, ..test.server(steps).times(CONNECTIONS, 1) };
    let [first, second] = GUESTS.map(Step::ActAs);
    let steps =
        [first, send(100_000, 7_000), receive(30_000), Step::ActAs(CLIENT), send(200_000, CHUNK), Step::ActAs(0)];
    let steps = [&steps[..], &[second, send(50_000, CHUNK), receive(40_000), Step::ActAs(0)]].concat();
    let client = Program { uid: 0, owner: Some(CLIENT), ..test.client(steps).times(CONNECTIONS, 1) };
    let truth = run_actors([(&world.far, server), (&world.near, client)])?.by(By::ACTING);
    counters.stop()?.must_equal(&truth)
}
