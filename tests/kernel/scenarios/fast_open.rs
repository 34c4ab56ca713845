//! TCP Fast Open: data in the SYN, before the connection is established.

use anyhow::{Result, ensure};

use super::{BOTH, Scenario, Test, run_all};
use crate::traffic::spec::{Transport, receive, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("fast_open", run).families(BOTH);

/// Client (1) and server (2), data without a cookie (4, 0x200), all listeners (0x400): tcp(7) and the kernel's
/// ip-sysctl.rst.
pub(super) const ALL_WITHOUT_COOKIES: &str = "1543";

const CONNECTIONS: u32 = 20;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    for namespace in [&world.near, &world.far] {
        namespace.sysctl("ipv4/tcp_fastopen", ALL_WITHOUT_COOKIES)?;
    }
    let counters = test.count(&world)?;
    let client = test.client([send(700, 700), receive(3_000), send(100_000, 9_000)]).over(Transport::FastOpen);
    let server = test.server([receive(700), send(3_000, 3_000), receive_all()]);
    let programs = [(&world.far, server.times(CONNECTIONS, 1)), (&world.near, client.times(CONNECTIONS, 1))];
    let truth = run_all(programs)?;
    let opened = world.far.netstat("TCPFastOpenPassive")?;
    ensure!(opened >= u64::from(CONNECTIONS), "only {opened} of {CONNECTIONS} had data in the SYN");
    counters.stop()?.must_equal(&truth)
}
