//! Two users, each with several processes of three programs at once: every process has its own bytes, under the name of
//! its program; and every program has those of all its processes.

use anyhow::{Result, ensure};

use super::{Scenario, Test, no_host_pids, run_actors};
use crate::traffic::spec::{Program, receive, send};
use crate::truth::By;
use crate::world::{Namespace, World, address_of, listen_at};

pub(super) const SCENARIO: Scenario =
    Scenario::new("processes_of_programs", run).behind_the_hooks().needs(no_host_pids);

const USERS: [u32; 2] = [70_020_061, 70_020_062];
/// The last one has a name as long as one may be that is not cut.
const PROGRAMS: [&str; 3] = ["upload", "down load", "a-program-whose-name-is-exactly-as-long-as-one-that-is-not-cut!"];
const PROCESSES_EACH: usize = 2;

fn run(test: &Test) -> Result<()> {
    let accounts = USERS.len() * PROGRAMS.len();
    for what in [By::PROCESS, By::PROGRAM] {
        let accounts = if what == By::PROCESS { accounts * 2 * PROCESSES_EACH } else { accounts };
        let world = World::new()?;
        let counters = test.count_by(&world, what)?;
        let truth = run_actors(programs(test, &world))?.by(what);
        ensure!(truth.0.len() == accounts, "not as many accounts as meant: {truth:?}");
        counters.stop()?.must_equal(&truth)?;
    }
    Ok(())
}

/// A server and a client for each process that is wanted, with bytes of its own.
fn programs<'a>(test: &Test, world: &'a World) -> Vec<(&'a Namespace, Program)> {
    let mut pairs = Vec::new();
    for uid in USERS {
        for name in PROGRAMS {
            for _ in 0..PROCESSES_EACH {
                let number = u16::try_from(pairs.len()).expect("a handful");
                pairs.extend(pair(test, world, uid, name, number));
            }
        }
    }
    pairs
}

fn pair<'a>(test: &Test, world: &'a World, uid: u32, name: &str, number: u16) -> [(&'a Namespace, Program); 2] {
    let (there, back) = (20_000 + 100 * u64::from(number), 9_000 + u64::from(number));
    let serve = test.lasting_longer([receive(there), send(back, 1_000)]);
    let ask = test.lasting_longer([send(there, 3_000), receive(back)]);
    let server = Program::listen(uid, listen_at(test.family), serve);
    let client = Program::connect(uid, address_of(test.family, 0, 2), ask);
    let like = |program: Program| program.called(name).times(test.volume(6, 2), 2).on_port(7_500 + number);
    [(&world.far, like(server)), (&world.near, like(client))]
}
