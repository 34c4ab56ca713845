//! Four servers of four users behind one port, and forty times as many clients: most connections wait for seconds until one of the four
//! accepts them, and are over a moment later. Each of them is found to be that one's.

use anyhow::{Result, anyhow};

use super::{CLIENT, Counted, Scenario, Test, run_all};
use crate::traffic::spec::{Program, Role, Step, receive, send};
use crate::truth::{Bytes, Table};
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("workers_outnumbered", run).over_both();

const WORKERS: [u32; 4] = [70_020_021, 70_020_022, 70_020_023, 70_020_024];
const CLIENTS: u32 = 160;
/// A connection is served for so many milliseconds.
const SERVED_MS: u64 = 100;
const ASKED: u64 = 3_000;
const ANSWERED: u64 = 7_000;

/// On a machine that is busy with something else, an owner may not be asked for in time; then everything else must be right.
const TURNS: usize = 3;

fn run(test: &Test) -> Result<()> {
    for turn in 1..=TURNS {
        let (counted, truth) = count(test)?;
        let is_in_time = counted.table.named("(unattributed)") == Bytes::default();
        if is_in_time || turn == TURNS || !test.is_packet() {
            return counted.must_equal(&truth);
        }
        let is_most = counted.table.named("(unattributed)").received <= truth.total().received / 10;
        let is_right =
            is_most && counted.table.total() == truth.total() && counted.table.user(CLIENT) == truth.user(CLIENT);
        let beside = || counted.table.beside(&truth);
        println!("{}", beside());
        counted.explain(if is_right { Ok(()) } else { Err(anyhow!("the totals differ\n{}", beside())) })?;
    }
    Ok(())
}

fn count(test: &Test) -> Result<(Counted, Table)> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let (clients, busy_ms) = test.volume((CLIENTS, SERVED_MS), (CLIENTS / 4, 3 * SERVED_MS));
    let role = Role::Prefork { addr: listen_at(test.family), workers: WORKERS.into() };
    let steps = [receive(ASKED), Step::Pause(busy_ms), send(ANSWERED, 7_000)];
    let server = Program { role, ..Program::listen(0, listen_at(test.family), steps) }.times(clients, 1);
    let client = [send(ASKED, 1_000), receive(ANSWERED)];
    let client = Program::connect(CLIENT, address_of(test.family, 0, 2), client).times(clients, clients);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    Ok((counters.stop()?, truth))
}
