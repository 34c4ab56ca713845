//! Traffic that a router passes on has no socket there: not counted, not unattributed, whatever its direction.

use anyhow::Result;

use super::{CLIENT, Counted, Scenario, Test, run_all};
use crate::service::{Options, Service};
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Program, receive_all, send};
use crate::truth::Table;
use crate::world::{Namespace, address_of};

/// Packet only: the scope of ebpf is the whole host, both ends included.
pub(super) const SCENARIO: Scenario =
    Scenario::new("forwarded", run).over_both().targets(|target| target == Target::Packet);

fn run(test: &Test) -> Result<()> {
    let (near, router, far) = routed()?;
    let service = Service::start(test.target, &router, &Options::default())?;
    let client = Program::connect(CLIENT, address_of(test.family, 2, 2), [receive_all(), send(10_000_000, CHUNK)]);
    let server = test.server([send(10_000_000, CHUNK), crate::traffic::spec::Step::Shut, receive_all()]);
    run_all([(&far, server), (&near, client)])?;
    Counted::new(vec![service.stop()?])?.must_equal(&Table::default())
}

/// 10.77.1.2 in `near`, 10.77.2.2 in `far`, and a router between them; the same for IPv6.
pub(super) fn routed() -> Result<(Namespace, Namespace, Namespace)> {
    let (near, router, far) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
    for (net, end, device) in [(1, &near, "near"), (2, &far, "far")] {
        router.join(device, end, "veth0")?;
        router.address(device, net, 1)?;
        end.address("veth0", net, 2)?;
        end.ip(&format!("route add default via 10.77.{net}.1"))?;
        end.ip(&format!("route add default via inet6 fd77:{net}::1"))?;
    }
    router.sysctl("ipv4/ip_forward", "1")?;
    router.sysctl("ipv6/conf/all/forwarding", "1")?;
    Ok((near, router, far))
}
