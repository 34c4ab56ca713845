//! Where connections are swept, no program runs for a write or a read: 300,000 of each, and hardly a run.
//!
//! The kernel counts the runs of programs while its statistics are on. The few are at the beginning and the end of
//! connections, whoever's, and in the attach mode `tracepoint` at files that are written.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{Counters, Scenario, Test, run_all};
use crate::service::{Options, Service};
use crate::target::Target;
use crate::traffic::spec::{receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("nothing_a_byte", run).targets(Target::is_ebpf).behind_the_hooks().needs(|_| no_statistics());

/// Of a hundred writes and reads fewer than one.
const PER_RUN: u64 = 100;

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

fn no_statistics() -> Option<&'static str> {
    if fs::exists(SWITCH).unwrap_or(false) { None } else { Some("this kernel counts no runs of programs") }
}

/// Others of this machine may write many files meanwhile, as a compiler does.
const TURNS: usize = 3;

fn run(test: &Test) -> Result<()> {
    for turn in 1..=TURNS {
        let (runs, writes, is_swept) = count(test)?;
        let is_rare = runs * PER_RUN < writes;
        if is_rare == is_swept {
            return Ok(());
        }
        ensure!(turn < TURNS, "{runs} runs of programs for {writes} writes, and swept is {is_swept}");
    }
    Ok(())
}

/// Runs of programs, writes, and whether connections are swept.
fn count(test: &Test) -> Result<(u64, u64, bool)> {
    let world = World::new()?;
    let options = Options { interval: "1d", ..Options::default() };
    let services = test.start(&world, &options)?;
    let writes = test.volume(300_000, 30_000);
    let statistics = Statistics::on()?;
    let before = runs(&services)?;
    let client = test.client([send(1_000 * writes, 1_000)]);
    let truth = run_all([(&world.far, test.server([receive_all()])), (&world.near, client)])?;
    let runs = runs(&services)? - before;
    drop(statistics);
    let counted = Counters::Own(services).stop()?;
    counted.must_equal(&truth)?;
    Ok((runs, writes, counted.is_swept()))
}

/// How often programs of the services ran while the statistics were on.
fn runs(services: &[Service]) -> Result<u64> {
    let mut runs = 0;
    for service in services {
        for file in fs::read_dir(format!("/proc/{}/fdinfo", service.pid()))? {
            // One that was closed meanwhile is no program's.
            let info = fs::read_to_string(file?.path()).unwrap_or_default();
            let count = info.lines().find_map(|line| line.strip_prefix("run_cnt:"));
            runs += count.map_or(Ok(0), |count| count.trim().parse::<u64>().context("an odd run_cnt"))?;
        }
    }
    Ok(runs)
}

/// The kernel's statistics of its programs, on as long as this lives, and then as they were.
struct Statistics(String);

impl Statistics {
    fn on() -> Result<Self> {
        let before = fs::read_to_string(SWITCH)?;
        fs::write(SWITCH, "1")?;
        Ok(Self(before))
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        let _ = fs::write(SWITCH, &self.0);
    }
}
