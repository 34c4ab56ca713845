//! Two processes with one number, one after the other, send on one connection: each has its own bytes.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};

use super::{CLIENT, Scenario, Test, no_host_pids, run_actors};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{Program, Step, receive_all, send};
use crate::truth::By;
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("pid_used_again", run).targets(Target::is_ebpf).behind_the_hooks().needs(no_host_pids);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    // One report, so that nobody leaves the log in between.
    let options = Options { interval: "1d", ..Options::default() };
    let counters = test.count_with(&world, &options.argument(&By::PROCESS.option()))?;
    // So long that they do not start within one millisecond, which is how their start is told.
    let child =
        |again, bytes| Step::Fork { again, steps: vec![send(bytes, 1_000), Step::AwaitAcknowledged, Step::Pause(20)] };
    // Who chooses numbers is root.
    let client = Program { uid: 0, owner: Some(CLIENT), ..test.client([child(false, 10_000), child(true, 25_000)]) };
    let truth = run_actors([(&world.far, test.server([receive_all()])), (&world.near, client)])?;
    let counted = counters.stop()?;
    let pids = truth.0.keys().filter(|account| account.uid == Some(CLIENT)).count();
    ensure!(pids == 1, "the two have not one number: {truth:?}");
    let mut by_start = BTreeMap::new();
    for record in counted.records().filter(|record| record["uid"] == CLIENT) {
        let start = record["start_time"].as_str().context("a process without a start")?;
        by_start.insert(start.to_owned(), record["sent_bytes_total"].as_u64().context("no bytes")?);
    }
    let sent: Vec<_> = by_start.into_values().collect();
    ensure!(sent == [10_000, 25_000], "one after the other sent {sent:?}");
    Ok(())
}
