//! SIGUSR1 brings a report at once, long before the interval ends, and it has the bytes of connections that are open.
//! Here one that has one side's FIN behind it, which is no byte.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::{CLIENT, Counted, Counters, SERVER, Scenario, Test, go_on_and_finish, start_and_hold};
use crate::service::Options;
use crate::traffic::spec::{CHUNK, Step, receive, receive_all, send};
use crate::truth::{Account, Bytes, Table};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("report_on_sigusr1", run).behind_the_hooks();

const BYTES: u64 = 1_000_000;

/// Longer than the kernel delays an acknowledgement (`TCP_DELACK_MAX`, 200 ms).
const ACKNOWLEDGED: Duration = Duration::from_millis(300);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let services = test.start(&world, &Options { interval: "1d", ..Options::default() })?;
    let server = test.server([receive(BYTES), receive_all(), Step::Hold]);
    let client = test.client([send(BYTES, CHUNK), Step::Shut, Step::Hold]);
    let (server, client) = start_and_hold(&world, &server, &client)?;
    thread::sleep(ACKNOWLEDGED);
    let mut logs = Vec::new();
    for service in &services {
        logs.push(service.report_now()?);
    }
    let mut truth = Table::default();
    truth.add(Account::user(CLIENT), Bytes { sent: BYTES, received: 0 });
    truth.add(Account::user(SERVER), Bytes { sent: 0, received: BYTES });
    Counted::new(logs)?.must_equal(&truth)?;
    let truth = go_on_and_finish(&world, server, client)?;
    Counters::Own(services).stop()?.must_equal(&truth)
}
