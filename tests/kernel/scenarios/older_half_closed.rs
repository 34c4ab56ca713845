//! A connection that one side had closed before the service started, and the other had read to the end, counts from then on.

use anyhow::Result;

use super::{CLIENT, SERVER, Scenario, Test, go_on_and_finish, start_and_hold};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::truth::{Account, Bytes, Table};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("older_half_closed", run).targets(Target::is_ebpf);

const BEFORE: u64 = 100_000;
const AFTER: u64 = 300_000;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let server = test.server([receive_all(), Step::Hold, send(AFTER, CHUNK)]);
    let client = test.client([send(BEFORE, CHUNK), Step::Shut, Step::Hold, receive_all()]);
    let (server, client) = start_and_hold(&world, &server, &client)?;
    let counters = test.count_with(&world, &Options::default())?;
    go_on_and_finish(&world, server, client)?;
    let counted = counters.stop()?;
    if !counted.is_swept() {
        // The first event is one that has all of it.
        return Ok(());
    }
    let mut truth = Table::default();
    truth.add(Account::user(CLIENT), Bytes { sent: 0, received: AFTER });
    truth.add(Account::user(SERVER), Bytes { sent: AFTER, received: 0 });
    counted.must_equal(&truth)
}
