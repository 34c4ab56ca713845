//! MPTCP: the payload is that of its TCP subflows, here one. They do not pass `tcp_sendmsg` or `tcp_recvmsg`.
//!
//! Without reinjection it is the bytes that the programs move. MPTCP may send data again on a subflow, as new payload
//! of that subflow: then it is more, and the same on both ends. So it is with its window probes of one byte each, which
//! no counter of the kernel tells.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{CLIENT, Counted, SERVER, Scenario, Test, run_all};
use crate::target::Family;
use crate::traffic::spec::{CHUNK, Transport, receive, receive_all, send};
use crate::truth::Table;
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("mptcp", run).over_both().needs(missing);

/// Window probes of a connection that is soon over; some two were seen on a slow guest in one run of four.
const MAX_PROBES: u64 = 8;

pub(super) fn missing(_: Family) -> Option<&'static str> {
    (!Path::new("/proc/sys/net/mptcp/enabled").exists()).then_some("this kernel has no MPTCP")
}

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    for namespace in [&world.near, &world.far] {
        namespace.sysctl("mptcp/enabled", "1")?;
    }
    let counters = test.count(&world)?;
    let client = test.client([send(5_000_000, CHUNK), receive(1_000_000)]).over(Transport::Mptcp);
    let server = test.server([receive(5_000_000), send(1_000_000, CHUNK), receive_all()]).over(Transport::Mptcp);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    ensure!(world.far.netstat("MPCapableSYNRX")? > 0, "the connection fell back to TCP");
    let counted = counters.stop()?;
    if world.near.netstat("MPTCPRetrans")? + world.far.netstat("MPTCPRetrans")? == 0 {
        let most = truth.total().sent + MAX_PROBES;
        ensure!(
            counted.table.total().sent <= most,
            "more than window probes explain\n{}",
            counted.table.beside(&truth)
        );
    }
    counted.explain(is_the_same_on_both_ends(&counted, &truth))
}

fn is_the_same_on_both_ends(counted: &Counted, truth: &Table) -> Result<()> {
    let (client, server) = (counted.table.user(CLIENT), counted.table.user(SERVER));
    let beside = counted.table.beside(truth);
    ensure!(client.sent == server.received && server.sent == client.received, "the ends differ\n{beside}");
    ensure!(client.sent >= truth.user(CLIENT).sent, "too little\n{beside}");
    ensure!(server.sent >= truth.user(SERVER).sent, "too little\n{beside}");
    ensure!(counted.table.0.len() == 2, "somebody else has bytes\n{beside}");
    Ok(())
}
