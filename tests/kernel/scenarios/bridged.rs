//! Bridged traffic is not counted, even if the bridge has an address of its own.

use anyhow::Result;

use super::{CLIENT, Counted, Scenario, Test, run_all};
use crate::service::{Options, Service};
use crate::target::{Family, Target};
use crate::traffic::spec::{CHUNK, Program, Step, receive_all, send};
use crate::truth::Table;
use crate::world::{Namespace, address_of};

/// Packet only: the scope of ebpf is the whole host, both ends included.
pub(super) const SCENARIO: Scenario =
    Scenario::new("bridged", run).over_both().targets(|target| target == Target::Packet).needs(missing);

pub(super) fn missing(_: Family) -> Option<&'static str> {
    let makes_bridges = Namespace::new().and_then(|namespace| namespace.ip("link add bridge0 type bridge"));
    makes_bridges.is_err().then_some("this kernel has no bridge device")
}

fn run(test: &Test) -> Result<()> {
    let (near, middle, far) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
    middle.ip("link add bridge0 type bridge")?;
    for (host, end, device) in [(1, &near, "near"), (2, &far, "far")] {
        middle.join(device, end, "veth0")?;
        middle.ip(&format!("link set {device} master bridge0"))?;
        end.address("veth0", 0, host)?;
    }
    middle.address("bridge0", 0, 3)?;
    middle.ip("link set bridge0 up")?;
    let service = Service::start(test.target, &middle, &Options::default())?;
    let client = Program::connect(CLIENT, address_of(test.family, 0, 2), [receive_all(), send(10_000_000, CHUNK)]);
    let server = test.server([send(10_000_000, CHUNK), Step::Shut, receive_all()]);
    run_all([(&far, server), (&near, client)])?;
    Counted::new(vec![service.stop()?])?.must_equal(&Table::default())
}
