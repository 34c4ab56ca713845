//! The capture has dropped the last packets of a connection that goes on: the report has fewer bytes than were moved, and says so.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::{Counters, Scenario, Test, go_on_and_finish, start_and_hold};
use crate::service::{Log, Options, Service};
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Step, receive, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("unseen_behind_drops", run).targets(|target| target == Target::Packet);

/// How long the reader sleeps. Where the kernel dropped nothing all the same, because something else kept the machine busy, the next is
/// tried.
const STALLS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(20), Duration::from_mins(1)];

/// No segment of it is a milestone, which is every 256 MiB, but with little probability.
const BYTES: u64 = 60_000_000;

fn run(test: &Test) -> Result<()> {
    for stall in STALLS {
        if is_told(test, stall)? {
            return Ok(());
        }
    }
    bail!("the kernel dropped nothing, so nothing was shown")
}

/// `false` if nothing was dropped.
fn is_told(test: &Test, stall: Duration) -> Result<bool> {
    let world = World::new()?;
    let options = Options { interval: "1d", ..Options::default() }.config("[packet]\nring_bytes = 65536");
    let services = test.start(&world, &options.environment("TRAFCALC_TEST_STALL_MS", &stall.as_millis()))?;
    let server = test.server([receive(BYTES), Step::Hold, receive_all()]);
    let client = test.client([send(BYTES, CHUNK), Step::AwaitAcknowledged, Step::Hold, send(100_000, CHUNK)]);
    let (server, client) = start_and_hold(&world, &server, &client)?;
    thread::sleep(stall + Duration::from_millis(500));
    let logs = services.iter().map(Service::report_now).collect::<Result<Vec<_>>>()?;
    let truth = go_on_and_finish(&world, server, client)?;
    Counters::Own(services).stop()?.must_equal(&truth)?;
    let is_short =
        |log: &Log| Ok(log.last()?.totals()?.total().sent.max(log.last()?.totals()?.total().received) < BYTES);
    let short = logs.iter().map(is_short).collect::<Result<Vec<bool>>>()?;
    for (log, &is_short) in logs.iter().zip(&short) {
        let gaps = log.last()?.health("gaps")?;
        ensure!(gaps == u64::from(is_short), "gaps {gaps}: {}", log.last()?.summary);
    }
    Ok(short.contains(&true))
}
