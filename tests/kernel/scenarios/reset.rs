//! `SO_LINGER` 0: a reset with data that was never sent and data that was never read.
//!
//! ebpf owes what the programs wrote and read. packet owes no more than was written, no less than was read, and
//! cannot have received what it had not sent.

use anyhow::{Result, ensure};

use super::{CLIENT, Counted, SERVER, Scenario, Test, finish_all, start_and_hold};
use crate::target::Target;
use crate::traffic::spec::{Step, receive, receive_all};
use crate::truth::Table;
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("reset", run);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let server = test.server([receive(50_000), Step::Hold, receive_all()]);
    let client = test.client([Step::Fill, Step::Reset, Step::Hold]);
    let (mut server, mut client) = start_and_hold(&world, &server, &client)?;
    client.go_on()?;
    world.near.wait_until_closed()?;
    server.go_on()?;
    let truth = finish_all([(&world.far, server), (&world.near, client)])?;
    owes(test.target, &counters.stop()?, &truth)
}

/// What each backend owes when bytes died in a buffer.
pub(super) fn owes(target: Target, counted: &Counted, truth: &Table) -> Result<()> {
    if target != Target::Packet {
        return counted.must_equal(truth);
    }
    let (sent, received) = (counted.table.user(CLIENT).sent, counted.table.user(SERVER).received);
    let (written, read) = (truth.user(CLIENT).sent, truth.user(SERVER).received);
    let is_between = || {
        ensure!(sent <= written && received >= read && received <= sent, "\n{}", counted.table.beside(truth));
        ensure!(counted.table.0.len() == 2, "somebody else has bytes: {:?}", counted.table);
        Ok(())
    };
    counted.explain(is_between())
}
