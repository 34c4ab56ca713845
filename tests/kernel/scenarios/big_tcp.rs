//! BIG TCP: packets of more than 64 KiB, whose own length field says 0.

use anyhow::{Result, ensure};

use super::{BOTH, Scenario, Test, run_all};
use crate::target::Family;
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::world::{Namespace, World};

pub(super) const SCENARIO: Scenario = Scenario::new("big_tcp", run).families(BOTH).needs(missing);

fn missing(family: Family) -> Option<&'static str> {
    let try_one = || make_big(&World::new()?.near, family);
    try_one().is_err().then_some("this kernel or this ip has no BIG TCP for it")
}

fn make_big(namespace: &Namespace, family: Family) -> Result<()> {
    namespace.ip(match family {
        Family::Ipv6 => "link set veth0 gso_max_size 180000 gro_max_size 180000",
        Family::Ipv4 | Family::Mapped => "link set veth0 gso_ipv4_max_size 180000 gro_ipv4_max_size 180000",
    })
}

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    make_big(&world.near, test.family)?;
    make_big(&world.far, test.family)?;
    let counters = test.count(&world)?;
    let bytes = test.volume(500_000_000, 50_000_000);
    let client = test.client([send(bytes, 16 * CHUNK), Step::Shut, receive_all()]);
    let truth = run_all([(&world.far, test.server([receive_all(), send(bytes, 16 * CHUNK)])), (&world.near, client)])?;
    let (sent_bytes, packets) = world.near.transmitted("veth0")?;
    ensure!(sent_bytes / packets > 40_000, "{sent_bytes} bytes in {packets} packets are not big");
    counters.stop()?.must_equal(&truth)
}
