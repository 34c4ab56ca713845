//! A client with 20 source ports, so that most connections come between the same addresses and ports as an earlier one that ended a
//! moment before: by a FIN of the server, by a reset of either end. Every byte of both ends is its owner's.

use anyhow::{Context as _, Result, anyhow};

use super::{Counted, SERVER, Scenario, Test, run_all};
use crate::traffic::spec::{CHUNK, Program, Step, receive, receive_all, send};
use crate::truth::Table;
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("ports_reused", run).over_both();

const PORTS: &str = "40000 40019";
const AT_ONCE: u32 = 16;
/// A connection lasts so many milliseconds, in which its owner can be found.
const LASTS_MS: u64 = 50;
const ASKED: u64 = 3_000;
const ANSWERED: u64 = 40_000;

fn run(test: &Test) -> Result<()> {
    let open = Step::Pause(test.volume(LASTS_MS, 3 * LASTS_MS));
    let (ask, answer) = ([send(ASKED, 1_000), receive(ANSWERED)], [receive(ASKED), send(ANSWERED, CHUNK)]);
    let with = |steps: &[Step], end: &[Step]| [steps, end].concat();
    let by_fin = (with(&ask, &[receive_all()]), with(&answer, std::slice::from_ref(&open)));
    let by_client = (with(&ask, &[open.clone(), Step::Reset]), with(&answer, &[receive_all()]));
    let acknowledged = [Step::AwaitAcknowledged, open, Step::Reset];
    let by_server = (with(&ask, &[Step::AwaitReset]), with(&answer, &acknowledged));
    for (end, (client, server)) in [("FIN", by_fin), ("reset by the client", by_client), ("by the server", by_server)] {
        connect(test, client, server).context(end)?;
    }
    Ok(())
}

/// On a machine that is busy with something else, an owner may not be asked for in time; then everything else must be right.
const TURNS: usize = 3;

fn connect(test: &Test, client: Vec<Step>, server: Vec<Step>) -> Result<()> {
    let times = test.volume(800, 80);
    let client = Program { steps: client, ..test.client([]) }.times(times, AT_ONCE);
    let server = Program { steps: server, ..test.server([]) }.times(times, AT_ONCE);
    for turn in 1..=TURNS {
        let (counted, truth) = count(test, client.clone(), server.clone())?;
        let unattributed = counted.table.named("(unattributed)");
        let is_in_time = unattributed.sent + unattributed.received == 0;
        if is_in_time || turn == TURNS || !test.is_packet() {
            return counted.must_equal(&truth);
        }
        let beside = || counted.table.beside(&truth);
        let is_right = counted.table.total() == truth.total() && counted.table.user(SERVER) == truth.user(SERVER);
        counted.explain(if is_right { Ok(()) } else { Err(anyhow!("the totals differ\n{}", beside())) })?;
    }
    Ok(())
}

fn count(test: &Test, client: Program, server: Program) -> Result<(Counted, Table)> {
    let world = World::new()?;
    world.near.sysctl("ipv4/ip_local_port_range", PORTS)?;
    let counters = test.count(&world)?;
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    Ok((counters.stop()?, truth))
}
