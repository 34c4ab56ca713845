//! A named interface is deleted and made anew, and traffic begins at once: all of it is counted, and the service says what happened.

use anyhow::{Result, ensure};

use super::{CLIENT, SERVER, Scenario, Test, run_all};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Program, Step, receive_all, send};
use crate::truth::Table;
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("interface_anew", run).targets(|target| target == Target::Packet);

/// A service that looks each second misses next to every time.
const TIMES: u16 = 6;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    make(&world)?;
    let counters = test.count_with(&world, &Options::default().config("[packet]\ninterfaces = [\"veth1\"]"))?;
    let mut truth = Table::default();
    for time in 0..TIMES {
        world.near.ip("link del veth1")?;
        make(&world)?;
        let steps = test.lasting([send(1_000_000, CHUNK), Step::Shut, receive_all()]);
        let client = Program::connect(CLIENT, address_of(test.family, 1, 2), steps).on_port(7_100 + time);
        let steps = test.lasting([receive_all(), send(500_000, CHUNK)]);
        let server = Program::listen(SERVER, listen_at(test.family), steps).on_port(7_100 + time);
        truth.merge(run_all([(&world.far, server), (&world.near, client)])?);
    }
    let counted = counters.stop()?;
    counted.must_equal(&truth)?;
    ensure!(counted.said("\"veth1\" is gone"), "nothing was said of an interface that is gone");
    Ok(())
}

fn make(world: &World) -> Result<()> {
    world.near.join("veth1", &world.far, "veth1")?;
    world.near.address("veth1", 1, 1)?;
    world.far.address("veth1", 1, 2)
}
