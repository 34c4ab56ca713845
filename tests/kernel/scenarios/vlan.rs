//! Traffic over a VLAN device passes the device below it, too: each byte is counted once.

use anyhow::Result;

use super::{CLIENT, Scenario, Test, run_all};
use crate::target::Family;
use crate::traffic::spec::{CHUNK, Program, Step, receive_all, send};
use crate::world::{Namespace, World, address_of};

pub(super) const SCENARIO: Scenario = Scenario::new("vlan", run).over_both().needs(missing);

fn missing(_: Family) -> Option<&'static str> {
    let try_one = || -> Result<()> {
        let world = World::new()?;
        add_vlan(&world.near, 1)
    };
    try_one().is_err().then_some("this kernel has no VLAN device")
}

fn add_vlan(namespace: &Namespace, host: u8) -> Result<()> {
    namespace.ip("link add link veth0 name vlan5 type vlan id 5")?;
    namespace.ip("link set vlan5 up")?;
    namespace.address("vlan5", 5, host)
}

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    add_vlan(&world.near, 1)?;
    add_vlan(&world.far, 2)?;
    let counters = test.count(&world)?;
    let steps = test.lasting([send(20_000_000, CHUNK), Step::Shut, receive_all()]);
    let client = Program::connect(CLIENT, address_of(test.family, 5, 2), steps);
    let server = test.server([receive_all(), send(10_000_000, CHUNK)]);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth)
}
