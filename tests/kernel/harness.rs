//! Turns the table of scenarios into tests: `target::scenario::family`.

use std::fs::File;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::unistd::Uid;

use crate::scenarios::{self, Scenario, Test, counted};
use crate::target::{self, Target};

/// Runs the tests that the command line asks for, one at a time: two at once would fight for the processors.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let is_root = Uid::effective().is_root();
    if !is_root {
        eprintln!("all scenarios are left out: network namespaces and packet sockets need root");
    }
    let targets = if is_root && !arguments.list { target::chosen() } else { target::named_or_all() };
    match targets {
        Ok(targets) => {
            let conclusion = libtest_mimic::run(&arguments, trials(&targets, is_root));
            match counted::stop_lasting() {
                Ok(()) => conclusion.exit_code(),
                Err(error) => failure(&error),
            }
        }
        Err(error) => failure(&error),
    }
}

fn failure(error: &anyhow::Error) -> ExitCode {
    eprintln!("{error:#}");
    ExitCode::FAILURE
}

fn trials(targets: &[Target], is_root: bool) -> Vec<Trial> {
    let first_ebpf = targets.iter().find(|target| **target != Target::Packet).copied();
    let is_again = move |target| is_small() && target != Target::Packet && Some(target) != first_ebpf;
    let of_target = |&target: &Target| {
        let is_left_out = move |scenario: &Scenario| {
            scenario.once_when_small && (is_again(target) || matches!(target, Target::Events(_)))
        };
        let wanted = scenarios::ALL.iter().filter(move |scenario| !is_left_out(scenario));
        wanted.flat_map(move |scenario| of_scenario(target, scenario))
    };
    let trials = targets.iter().flat_map(of_target);
    trials.map(|trial| if is_root { trial } else { trial.with_ignored_flag(true) }).collect()
}

fn of_scenario(target: Target, scenario: &'static Scenario) -> Vec<Trial> {
    if !(scenario.targets)(target) {
        return Vec::new();
    }
    let trial = |&family| {
        let missing = (scenario.needs)(family);
        let test = Test { target, family, small: is_small() };
        let name = format!("{target}::{}::{family}", scenario.name);
        if let Some(what) = missing {
            eprintln!("left out: {name}, {what}");
        }
        let run = move || run_alone(scenario, &test).map_err(|error| Failed::from(format!("{error:#}")));
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    let families = if is_small() { scenario.families_when_small } else { scenario.families };
    families.iter().map(trial).collect()
}

/// Runs it while no other process of this test runs one: the scope of ebpf is the whole host, so two would count each
/// other's users.
fn run_alone(scenario: &Scenario, test: &Test) -> Result<()> {
    let lock = File::create(std::env::temp_dir().join("trafcalc-test.lock")).context("cannot open the lock file")?;
    lock.lock().context("cannot lock out other runs")?;
    (scenario.run)(test)
}

fn is_small() -> bool {
    std::env::var("TRAFCALC_TEST_SCALE").is_ok_and(|scale| scale == "small")
}
