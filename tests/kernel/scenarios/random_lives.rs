//! Connections whose two ends do at random what ends can do: send, read, peek, send urgent bytes, shut a half down, reset,
//! give the peer up, close with data unread, pause. Accounts have what was on the wire.

use anyhow::{Context as _, Result, ensure};

use super::wire::{Ends, Wire};
use super::{CLIENT, Scenario, Test, run_all};
use crate::traffic::spec::Step;
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("random_lives", run);

const SEEDS: [u64; 4] = [1, 22, 333, 4_444];
const AT_ONCE: u32 = 8;

fn run(test: &Test) -> Result<()> {
    for seed in &SEEDS[..test.volume(SEEDS.len(), 1)] {
        live(test, *seed).with_context(|| format!("seed {seed}"))?;
    }
    Ok(())
}

/// How often connections are made anew if the programs were not called for all ends of them. Some hosts keep a process from all
/// tracing: what the kernel does in an interrupt of it runs no program, and is in no statistics.
/// Guests are not among them.
const TRIES: u32 = 3;

fn live(test: &Test, seed: u64) -> Result<()> {
    for _ in 1..test.volume(TRIES, 1) {
        if live_once(test, seed)? {
            return Ok(());
        }
    }
    ensure!(live_once(test, seed)?, "{TRIES} times the programs were not called for all ends of connections");
    Ok(())
}

/// Whether the programs were called for all ends.
fn live_once(test: &Test, seed: u64) -> Result<bool> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let before = counters.audited()?;
    let wire = Wire::watch(&world)?;
    let connections = test.volume(200, 40);
    let life = |seed| [Step::Pause(test.volume(20, 100)), Step::Random { seed }];
    let server = test.server(life(2 * seed)).times(connections, AT_ONCE);
    let client = test.client(life(2 * seed + 1)).times(connections, AT_ONCE);
    run_all([(&world.far, server), (&world.near, client)])?;
    let ends = wire.stop()?;
    is_worth_it(&ends, connections)?;
    let counted = counters.stop()?;
    if !test.is_packet() && counted.health("audited_total")? < before + 2 * u64::from(connections) {
        return Ok(false);
    }
    ends.must_be_in(test, &counted).map(|()| true)
}

/// Checks that there were connections of either kind of end.
fn is_worth_it(ends: &Ends, connections: u32) -> Result<()> {
    let resets = ends.0.iter().filter(|end| end.is_reset()).count();
    let (all, sent) = (ends.0.len(), ends.by_user().user(CLIENT).sent);
    ensure!(all == 2 * connections as usize, "{all} ends of {connections} connections were captured");
    ensure!((all / 10..all * 9 / 10).contains(&resets), "{resets} of {all} ends were reset");
    ensure!(sent > 0, "nothing was sent");
    Ok(())
}
