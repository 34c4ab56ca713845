//! A service that keeps its counters in the kernel follows one that kept none, and is killed before its first report. The next one reports
//! every byte.

use anyhow::Result;
use tempfile::TempDir;

use super::{Scenario, Test, run_all};
use crate::service::{Log, Options, Service, Store};
use crate::target::Target;
use crate::traffic::spec::{CHUNK, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("killed_before_its_first_report", run).targets(|target| target != Target::Packet).behind_the_hooks();

const BYTES: u64 = 1_000_000;

fn run(test: &Test) -> Result<()> {
    let (world, store, folder) = (World::new()?, Store::default(), TempDir::with_prefix("trafcalc-test-")?);
    let log = folder.path().join("traffic");
    let options = || {
        let book = Some(folder.path().join("book.db"));
        Options { interval: "1h", book, ..Options::default() }.log_to(log.clone())
    };
    Service::start(test.target, &world.near, &options())?.stop()?;

    let keep = format!("--keep={}", store.make("folder").join("kept").display());
    let keeping = Service::start(test.target, &world.near, &options().argument(&keep))?;
    let (client, server) = (test.client([send(BYTES, CHUNK)]), test.server([receive_all()]));
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    keeping.kill()?;

    Service::start(test.target, &world.near, &options().argument(&keep))?.stop()?;
    Log::read(&log)?.sum_of_intervals()?.must_equal(&truth)
}
