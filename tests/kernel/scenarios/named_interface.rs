//! `packet.interfaces` names the interfaces to watch: what passes others is not counted.

use anyhow::Result;

use super::{Scenario, Test, run_all};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Program, receive_all, send};
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("named_interface", run).targets(|target| target == Target::Packet);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    world.near.join("veth1", &world.far, "veth1")?;
    world.near.address("veth1", 1, 1)?;
    world.far.address("veth1", 1, 2)?;
    let counters = test.count_with(&world, &Options::default().config("[packet]\ninterfaces = [\"veth1\"]"))?;
    let server = |uid, port| Program::listen(uid, listen_at(test.family), test.lasting([receive_all()])).on_port(port);
    let client = |uid, net, port| {
        let steps = test.lasting([send(1_000_000, CHUNK)]);
        Program::connect(uid, address_of(test.family, net, 2), steps).on_port(port)
    };
    run_all([(&world.far, server(70_020_051, 7051)), (&world.near, client(70_020_052, 0, 7051))])?;
    let truth = run_all([(&world.far, server(70_020_053, 7053)), (&world.near, client(70_020_054, 1, 7053))])?;
    counters.stop()?.must_equal(&truth)
}
