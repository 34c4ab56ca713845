//! 2,000 connections of 10,000 bytes, one after the other: each is gone before anyone can look twice.
//!
//! ebpf owes every byte to its user. packet owes every byte to some account, all of the server's (whose listener
//! stays) and, at full speed, 95 % of the client's to the right one, and none to a wrong one. How many are found in time is
//! a race against the scheduler, so the best of three turns counts; everything else holds in each of them.

use anyhow::{Result, ensure};

use super::{BOTH, CLIENT, Counted, SERVER, Scenario, Test, run_all};
use crate::target::Target;
use crate::traffic::spec::{Program, receive_all, send};
use crate::truth::Table;
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("short_connections_2k", run).families(BOTH);

/// On a machine that is busy with something else one turn may be lost.
const TURNS: usize = 3;

fn run(test: &Test) -> Result<()> {
    for turn in 1..=TURNS {
        let (counted, truth) = count(test)?;
        let Target::Packet = test.target else { return counted.must_equal(&truth) };
        counted.explain(is_owned_by_the_right(&counted, &truth))?;
        let is_found = is_found_in_time(&counted, &truth, test.volume(95, 0));
        if is_found.is_ok() || turn == TURNS {
            return counted.explain(is_found);
        }
    }
    Ok(())
}

fn count(test: &Test) -> Result<(Counted, Table)> {
    let connections = test.volume(2_000, 100);
    let client = Program::connect(CLIENT, address_of(test.family, 0, 2), [send(10_000, 10_000)]);
    let server = Program::listen(SERVER, listen_at(test.family), [receive_all()]);
    let world = World::new()?;
    let counters = test.count(&world)?;
    let truth = run_all([(&world.far, server.times(connections, 1)), (&world.near, client.times(connections, 1))])?;
    Ok((counters.stop()?, truth))
}

fn is_owned_by_the_right(counted: &Counted, truth: &Table) -> Result<()> {
    let table = &counted.table;
    let unattributed = table.named("(unattributed)");
    let beside = table.beside(truth);
    ensure!(table.total() == truth.total(), "the totals differ\n{beside}");
    ensure!(table.user(SERVER) == truth.user(SERVER), "the server's bytes are not all its own\n{beside}");
    let client = table.user(CLIENT);
    ensure!(client.sent + unattributed.sent == truth.user(CLIENT).sent, "bytes are in a wrong account\n{beside}");
    Ok(())
}

fn is_found_in_time(counted: &Counted, truth: &Table, least_percent: u64) -> Result<()> {
    let is_enough = counted.table.user(CLIENT).sent * 100 >= truth.user(CLIENT).sent * least_percent;
    let beside = counted.table.beside(truth);
    ensure!(is_enough, "less than {least_percent} % of the client's bytes are its own\n{beside}");
    Ok(())
}
