//! Connections that end in every order are audited, at both ends, and the kernel's totals of each are what was counted:
//! a client that ends first, a server that does, and one whose data nobody read.

use anyhow::{Result, ensure};

use super::wire::Wire;
use super::{Scenario, Test, run_all, unread_at_close};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{CHUNK, receive_all, send};
use crate::world::World;

/// Of packets there is no audit: the kernel forgets the totals of a connection that is over.
pub(super) const SCENARIO: Scenario = Scenario::new("audited", run).targets(|target| target != Target::Packet);

/// Connections that end first here and there: many, since the audit is of the whole host.
const EACH: u32 = 50;
const LEAST: u64 = 2 * (2 * EACH as u64 + 1);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count_with(&world, &Options::default())?;
    let wire = Wire::watch(&world)?;
    for (client, server) in [(send(100_000, CHUNK), receive_all()), (receive_all(), send(100_000, CHUNK))] {
        let (server, client) = (test.server([server]).times(EACH, 2), test.client([client]).times(EACH, 2));
        run_all([(&world.far, server), (&world.near, client)])?;
    }
    unread_at_close::connection(test, &world)?;
    let counted = counters.stop()?;
    let audited = counted.health("audited_total")?;
    let is_enough = || {
        ensure!(audited >= LEAST, "only {audited} ends of connections were audited, and not {LEAST}");
        Ok(())
    };
    counted.explain(is_enough())?;
    wire.stop()?.must_be_in(test, &counted)
}
