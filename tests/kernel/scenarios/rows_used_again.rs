//! Many more processes than there are accounts for, some at a time: a process that ended makes room for another, and no
//! byte of either goes astray.

use anyhow::Result;

use super::{Counters, Scenario, Test, no_host_pids, run_actors};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{Step, receive_all, send};
use crate::truth::{By, Table};
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("rows_used_again", run).targets(Target::is_ebpf).behind_the_hooks().needs(no_host_pids);

/// Accounts of processes that there are, for those of the rest of the host, too.
const ROWS: u32 = 128;
const PROCESSES_AT_A_TIME: u32 = 40;
/// So that all processes together are twice as many as the accounts.
const TIMES: u64 = 7;
/// A row is free again at the third report after its last byte; one more for a socket that was destroyed late.
const REPORTS: usize = 4;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let options = Options { interval: "1d", ..Options::default() }.argument("--by=process");
    let counters = test.count_with(&world, &options.config(&format!("[ebpf]\nmax_accounts = {ROWS}")))?;
    let Counters::Own(services) = &counters else { unreachable!("started for this scenario") };
    let mut truth = Table::default();
    for time in 1..=TIMES {
        let child = Step::Fork { again: false, steps: vec![send(1_000 * time, 500)] };
        let client = test.client([child]).times(PROCESSES_AT_A_TIME, 1);
        let server = test.server([receive_all()]).times(PROCESSES_AT_A_TIME, 1);
        truth.merge(run_actors([(&world.far, server), (&world.near, client)])?);
        for _ in 0..REPORTS {
            services[0].report_now()?;
        }
    }
    counters.stop()?.must_equal(&truth.by(By::PROCESS))
}
