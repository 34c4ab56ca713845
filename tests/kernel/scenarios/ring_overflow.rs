//! A ring of 64 KiB and a reader that sleeps, so that the kernel drops packets: the totals are right all the same once
//! the connection has closed, and the drops are shown.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use super::{Scenario, Test, go_on_and_finish, start_and_hold};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Step, receive, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("ring_overflow", run).over_both().targets(|target| target == Target::Packet);

/// How long the reader sleeps: much longer than it takes to fill the ring, also on an emulated machine. Where the kernel
/// dropped nothing all the same, because something else kept the machine busy, the next is tried.
const STALLS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(20), Duration::from_mins(1)];

fn run(test: &Test) -> Result<()> {
    for stall in STALLS {
        if is_exact_with_drops(test, stall)? {
            return Ok(());
        }
    }
    bail!("the kernel dropped nothing, so nothing was shown")
}

/// `false` if nothing was dropped. A wrong total is an error in any case.
fn is_exact_with_drops(test: &Test, stall: Duration) -> Result<bool> {
    let world = World::new()?;
    let options = Options::default().config("[packet]\nring_bytes = 65536");
    let counters = test.count_with(&world, &options.environment("TRAFCALC_TEST_STALL_MS", &stall.as_millis()))?;
    // At 64 KiB a segment the smaller volume is 600 of them, acknowledgements aside; the ring has room for some 400.
    let bytes = test.volume(100_000_000, 40_000_000);
    let server = test.server([receive(bytes), Step::Hold, receive_all()]);
    let client = test.client([send(bytes, CHUNK), Step::Hold, send(100_000, CHUNK)]);
    let (server, client) = start_and_hold(&world, &server, &client)?;
    thread::sleep(stall + Duration::from_millis(200));
    let truth = go_on_and_finish(&world, server, client)?;
    let counted = counters.stop()?;
    counted.must_equal(&truth)?;
    Ok(counted.health("lost_events_total")? > 0)
}
