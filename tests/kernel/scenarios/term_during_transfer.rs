//! SIGTERM in the middle of a transfer: exit code 0, a complete last report, and a count between what had certainly
//! been sent before and what was sent in all.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{CLIENT, SERVER, Scenario, Test, finish_all, start_and_hold};
use crate::service::Options;
use crate::traffic::spec::{CHUNK, Step, receive, receive_all, send};
use crate::world::World;

/// Long enough for some of the transfer, and too short for all of it.
const UNDER_WAY: Duration = Duration::from_millis(20);

pub(super) const SCENARIO: Scenario = Scenario::new("term_during_transfer", run).behind_the_hooks();

fn run(test: &Test) -> Result<()> {
    let before = test.volume(100_000_000, 3_000_000);
    let after = test.volume(2_000_000_000, 100_000_000);
    let world = World::new()?;
    let counters = test.count_with(&world, &Options::default())?;
    let server = test.server([receive(before), Step::Hold, receive_all()]);
    let client = test.client([send(before, CHUNK), Step::Hold, send(after, CHUNK)]);
    let (mut server, mut client) = start_and_hold(&world, &server, &client)?;
    server.go_on()?;
    client.go_on()?;
    thread::sleep(UNDER_WAY);
    let counted = counters.stop()?;
    finish_all([(&world.far, server), (&world.near, client)])?;
    let (sent, received) = (counted.table.user(CLIENT).sent, counted.table.user(SERVER).received);
    let bounds = before + 1..=before + after;
    let is_within = || -> Result<()> {
        ensure!(bounds.contains(&sent), "{sent} bytes sent are not within {bounds:?}");
        ensure!(bounds.contains(&received), "{received} bytes received are not within {bounds:?}");
        Ok(())
    };
    counted.explain(is_within()).context("stopped in the middle")
}
