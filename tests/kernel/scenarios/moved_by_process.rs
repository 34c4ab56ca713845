//! A process is moved to another cgroup while processes and units are told apart: one process has an account in each cgroup.

use anyhow::Result;

use super::{Scenario, Test, moved_between_cgroups, no_cgroups, no_host_pids};
use crate::target::Target;
use crate::truth::By;

pub(super) const SCENARIO: Scenario = Scenario::new("moved_by_process", run)
    .targets(Target::is_ebpf)
    .needs(|family| no_cgroups(family).or_else(|| no_host_pids(family)));

fn run(test: &Test) -> Result<()> {
    moved_between_cgroups::count(test, By::PROCESS_AND_UNIT)
}
