//! A service that keeps nothing in the kernel is stopped and started again while connections move bytes: what those moved meanwhile
//! that are still open is in the next report, and the time is a gap.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::killed_book::must_agree;
use super::{Scenario, Test, finish_all};
use crate::running::Running;
use crate::service::{Log, Options, Service};
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("open_while_stopped", run).targets(Target::is_ebpf).behind_the_hooks();

const LIFE: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(400);
/// One of many writes.
const WRITE: u64 = 30_000;

fn run(test: &Test) -> Result<()> {
    let (world, folder) = (World::new()?, TempDir::with_prefix("trafcalc-test-")?);
    let log = folder.path().join("traffic");
    let book = folder.path().join("book.db");
    let options = Options { interval: "100ms", book: Some(book.clone()), ..Options::default() }.log_to(log.clone());
    let steps = (0..1_000).flat_map(|_| [send(WRITE, CHUNK), Step::Pause(5)]);
    let steps: Vec<_> = steps.chain([Step::Hold, Step::Shut, receive_all()]).collect();
    let (client, server) = (test.client(steps), test.server([receive_all(), send(WRITE, CHUNK)]));
    let times = test.volume(8_usize, 2);
    let mut service = Service::start(test.target, &world.near, &options)?;
    let server = Running::start(&server, &world.far)?;
    let mut client = Running::start(&client, &world.near)?;
    for _ in 0..times {
        sleep(LIFE);
        service.stop()?;
        sleep(PAUSE);
        service = Service::start(test.target, &world.near, &options)?;
    }
    client.wait_for_hold()?;
    client.go_on()?;
    let truth = finish_all([(&world.far, server), (&world.near, client)])?;
    service.stop()?;
    let counted = Log::read(&log)?;
    must_agree(&counted, &book)?;
    counted.sum_of_intervals()?.must_equal(&truth)?;
    let gaps = std::fs::read_to_string(&log)?.matches(r#""type":"gap""#).count();
    ensure!(gaps == times, "{gaps} gaps in the log of {times} stops");
    Ok(())
}
