//! Connections that end in every order are audited, at both ends, and the kernel's totals of each are what was counted:
//! a client that ends first, a server that does, and one whose data nobody read.

use anyhow::{Result, ensure};

use super::{Scenario, Test, run_all};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{CHUNK, receive, receive_all, send};
use crate::truth::Table;
use crate::world::World;

/// Of packets there is no audit: the kernel forgets the totals of a connection that is over.
pub(super) const SCENARIO: Scenario = Scenario::new("audited", run).targets(|target| target != Target::Packet);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count_with(&world, &Options::default())?;
    let mut truth = Table::default();
    for (client, server) in [
        (vec![send(1_000_000, CHUNK)], vec![receive_all()]),
        (vec![receive_all()], vec![send(1_000_000, CHUNK)]),
        (vec![send(50_000, CHUNK), receive_all()], vec![receive(10_000)]),
    ] {
        truth.merge(run_all([(&world.far, test.server(server)), (&world.near, test.client(client))])?);
    }
    let counted = counters.stop()?;
    let audited = counted.health("audited_total")?;
    let is_enough = || {
        ensure!(audited >= 6, "only {audited} of 6 ends of connections were audited");
        Ok(())
    };
    counted.explain(is_enough())?;
    counted.must_equal(&truth)
}
