//! Two users, each with two programs that both run in two cgroups: of each user every program has its own bytes in each
//! cgroup, and where the host numbers its processes, so has every process.

use anyhow::{Result, ensure};

use super::{Scenario, Test, no_cgroups, no_host_pids, run_actors};
use crate::traffic::spec::{Program, receive, send};
use crate::truth::By;
use crate::world::{Cgroup, Namespace, World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("by_program_and_unit", run).behind_the_hooks().needs(no_cgroups);

const USERS: [u32; 2] = [70_020_111, 70_020_112];
const PROGRAMS: [&str; 2] = ["up load", "download"];
const UNITS: [&str; 2] = ["trafcalc-front.service", "trafcalc-back.scope"];

fn run(test: &Test) -> Result<()> {
    let cgroups = [Cgroup::new(UNITS[0])?, Cgroup::new(UNITS[1])?];
    let accounts = USERS.len() * PROGRAMS.len() * UNITS.len();
    count(test, &cgroups, By::PROGRAM_AND_UNIT, accounts)?;
    // A server and a client each.
    if no_host_pids(test.family).is_none() { count(test, &cgroups, By::PROCESS_AND_UNIT, 2 * accounts) } else { Ok(()) }
}

fn count(test: &Test, cgroups: &[Cgroup; 2], what: By, accounts: usize) -> Result<()> {
    let world = World::new()?;
    let counters = test.count_by(&world, what)?;
    let truth = run_actors(programs(test, &world, cgroups))?.by(what);
    ensure!(truth.0.len() == accounts, "not as many accounts as meant: {truth:?}");
    counters.stop()?.must_equal(&truth)
}

/// A server and a client for each account that is wanted, with bytes of its own.
fn programs<'a>(test: &Test, world: &'a World, cgroups: &[Cgroup; 2]) -> Vec<(&'a Namespace, Program)> {
    let mut programs = Vec::new();
    for uid in USERS {
        for name in PROGRAMS {
            for cgroup in cgroups {
                let number = u16::try_from(programs.len()).expect("a handful");
                let (there, back) = (20_000 + 100 * u64::from(number), 9_000 + u64::from(number));
                let serve = test.lasting_longer([receive(there), send(back, 1_000)]);
                let ask = test.lasting_longer([send(there, 3_000), receive(back)]);
                let server = Program::listen(uid, listen_at(test.family), serve);
                let client = Program::connect(uid, address_of(test.family, 0, 2), ask);
                let like = |program: Program| {
                    program.called(name).inside(cgroup).times(test.volume(6, 2), 2).on_port(7_800 + number)
                };
                programs.extend([(&world.far, like(server)), (&world.near, like(client))]);
            }
        }
    }
    programs
}
