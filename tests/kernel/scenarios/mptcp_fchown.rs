//! The socket of an MPTCP connection is given to another user in the middle: each has his part.
//!
//! `fchown` changes the owner of the MPTCP socket, not that of the TCP sockets below, where the bytes are.

use anyhow::{Result, ensure};

use super::wire::Wire;
use super::{CLIENT, SERVER, Scenario, Test, mptcp, run_all};
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Program, Step, Transport, receive, receive_all, send};
use crate::truth::{Account, Table};
use crate::world::World;

/// ebpf only: packet asks for the owner once, and finds that of the MPTCP socket nowhere.
pub(super) const SCENARIO: Scenario =
    Scenario::new("mptcp_fchown", run).over_both().needs(mptcp::missing).targets(|target| target != Target::Packet);

const NEW_OWNER: u32 = 70_020_044;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    for namespace in [&world.near, &world.far] {
        namespace.sysctl("mptcp/enabled", "1")?;
    }
    give(test, &world)?;
    give_in_vain(test, &world)
}

/// Who may not give his connection away still pays for it.
fn give_in_vain(test: &Test, world: &World) -> Result<()> {
    let counters = test.count(world)?;
    let wire = Wire::watch(world)?;
    let steps = [send(10_000, CHUNK), receive(10), Step::ChownInVain(NEW_OWNER), send(200_000, CHUNK), receive(40_000)];
    let client = test.client(steps).over(Transport::Mptcp);
    let answers = [receive(10_000), send(10, 10), receive(200_000), send(40_000, CHUNK), receive_all()];
    run_all([(&world.far, test.server(answers).over(Transport::Mptcp)), (&world.near, client)])?;
    let ends = wire.stop()?;
    ends.must_be_in(test, &counters.stop()?)
}

fn give(test: &Test, world: &World) -> Result<()> {
    let counters = test.count(world)?;
    let wire = Wire::watch(world)?;
    // Nothing moves while it is given away, so that each byte has one owner.
    let give = [Step::AwaitAcknowledged, Step::Pause(100), Step::Chown(NEW_OWNER)];
    let (before, after) = ([send(100_000, CHUNK), receive(30_000)], [send(200_000, CHUNK), receive(40_000)]);
    let client = test.client([&before[..], &give, &after].concat()).over(Transport::Mptcp);
    let client = Program { uid: 0, owner: Some(CLIENT), ..client };
    let answers = [receive(100_000), send(30_000, CHUNK), receive(200_000), send(40_000, CHUNK), receive_all()];
    let server = test.server(answers).over(Transport::Mptcp);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    ensure!(world.far.netstat("MPCapableSYNRX")? > 0, "the connection fell back to TCP");
    let (on_wire, counted) = (wire.stop()?.by_user(), counters.stop()?);
    counted.explain(each_has_his_part(&counted.table, &truth, &on_wire))
}

/// MPTCP may send a byte twice, and then whose the second one is depends on the moment; their sum does not.
fn each_has_his_part(counted: &Table, truth: &Table, on_wire: &Table) -> Result<()> {
    if on_wire.total() == truth.total() {
        return counted.must_equal(truth);
    }
    let together = |mut table: Table| {
        table.add(Account::user(CLIENT), table.user(NEW_OWNER));
        table.forget(&[NEW_OWNER]);
        table
    };
    together(counted.clone()).must_equal(on_wire)?;
    let beside = || counted.beside(truth);
    for uid in [CLIENT, NEW_OWNER, SERVER] {
        let (count, least) = (counted.user(uid), truth.user(uid));
        ensure!(count.sent >= least.sent && count.received >= least.received, "too little\n{}", beside());
    }
    Ok(())
}
