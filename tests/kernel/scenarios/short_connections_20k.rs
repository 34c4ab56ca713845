//! 20,000 short connections, 100 at a time, with room for 64: those for which there was no room are counted when they end, for
//! their user (packet: in `(other)`). Health shows it, and no byte is missing.

use anyhow::{Result, ensure};

use super::counted::Bystander;
use super::{CLIENT, Counted, SERVER, Scenario, Test, run_all};
use crate::service::Options;
use crate::traffic::spec::{Step, receive, send};
use crate::truth::Table;
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("short_connections_20k", run);

const AT_ONCE: u32 = 100;

/// Long enough that most of those at once are open together, also on an emulated machine, which has fewer of them.
const OPEN_MS: u64 = 20;
const OPEN_MS_WHEN_SMALL: u64 = 1_000;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let options = Options::default().config("[packet]\nmax_connections = 64\n[ebpf]\nmax_connections = 64");
    let bystander = Bystander::new(test.target)?;
    let counters = test.count_with(&world, &options)?;
    let connections = test.volume(20_000, 300);
    let open = Step::Pause(test.volume(OPEN_MS, OPEN_MS_WHEN_SMALL));
    let client = test.client([send(1_000, 1_000), receive(300), open]).times(connections, AT_ONCE);
    let server = test.server([receive(1_000), send(300, 300), receive(0)]).times(connections, AT_ONCE);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    let counted = counters.stop()?;
    if test.is_packet() {
        let is_right = bystander.must_have_all(&counted, &truth).and_then(|()| overflow_is_shown(&counted, &truth));
        return counted.explain(is_right);
    }
    ensure!(counted.health("unfollowed_connections_total")? > 0, "there was room for all");
    counted.must_equal(&truth)
}

fn overflow_is_shown(counted: &Counted, truth: &Table) -> Result<()> {
    let table = &counted.table;
    let beside = table.beside(truth);
    ensure!(table.named("(other)").sent > 0, "(other) was not used, so nothing was shown\n{beside}");
    for uid in [CLIENT, SERVER] {
        let (count, most) = (table.user(uid), truth.user(uid));
        ensure!(count.sent <= most.sent && count.received <= most.received, "bytes in a wrong account\n{beside}");
    }
    ensure!(counted.health("overflow_bytes_total")? > 0, "health does not show it\n{beside}");
    Ok(())
}
