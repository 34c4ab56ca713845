//! A route puts a label of MPLS in front of segments.

use anyhow::Result;

use super::{BOTH, Scenario, Test, run_all};
use crate::target::Family;
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::world::{Namespace, World};

pub(super) const SCENARIO: Scenario = Scenario::new("mpls_route", run).families(BOTH).needs(missing);

fn missing(family: Family) -> Option<&'static str> {
    let try_one = || lead(&World::new()?.near, family, 1, 2);
    try_one().is_err().then_some("this kernel has no MPLS")
}

/// Puts a label in front of what host `own` sends to host `to`, and takes in what has one.
fn lead(namespace: &Namespace, family: Family, own: u8, to: u8) -> Result<()> {
    namespace.sysctl("mpls/platform_labels", "1000")?;
    namespace.sysctl("mpls/conf/veth0/input", "1")?;
    let route = match family {
        Family::Ipv6 => format!("-6 route add fd77:0::{to}/128 encap mpls 100 via inet6 fd77:1::{to} dev veth0"),
        Family::Ipv4 | Family::Mapped => {
            format!("route add 10.77.0.{to}/32 encap mpls 100 via inet 10.77.1.{to} dev veth0")
        }
    };
    namespace.address("veth0", 1, own)?;
    namespace.run("ip", &route)?;
    namespace.run("ip", "-f mpls route add 100 dev lo")
}

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    lead(&world.near, test.family, 1, 2)?;
    lead(&world.far, test.family, 2, 1)?;
    let counters = test.count(&world)?;
    let client = test.client([send(20_000_000, CHUNK), Step::Shut, receive_all()]);
    let server = test.server([receive_all(), send(10_000_000, CHUNK)]);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth)
}
