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

/// Connections that end first here and there: many, since the audit is of the whole host.
const EACH: u32 = 50;
const LEAST: u64 = 2 * (2 * EACH as u64 + 1);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count_with(&world, &Options::default())?;
    let mut truth = Table::default();
    for (times, client, server) in [
        (EACH, vec![send(100_000, CHUNK)], vec![receive_all()]),
        (EACH, vec![receive_all()], vec![send(100_000, CHUNK)]),
        (1, vec![send(50_000, CHUNK), receive_all()], vec![receive(10_000)]),
    ] {
        let (server, client) =
            (test.server(server).times(times, times.min(2)), test.client(client).times(times, times.min(2)));
        truth.merge(run_all([(&world.far, server), (&world.near, client)])?);
    }
    let counted = counters.stop()?;
    let audited = counted.health("audited_total")?;
    let is_enough = || {
        ensure!(audited >= LEAST, "only {audited} ends of connections were audited, and not {LEAST}");
        Ok(())
    };
    counted.explain(is_enough())?;
    counted.must_equal(&truth)
}
