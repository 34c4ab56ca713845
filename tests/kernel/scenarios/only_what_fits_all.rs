//! Filters of several kinds together: of two users, two programs and two cgroups, only what matches all three is counted,
//! and each filter leaves out something.

use anyhow::{Result, ensure};

use super::{Scenario, Test, no_cgroups, run_actors};
use crate::service::Options;
use crate::traffic::spec::{Program, receive, send};
use crate::truth::{Account, By};
use crate::world::{Cgroup, World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("only_what_fits_all", run).behind_the_hooks().needs(no_cgroups);

const USERS: [u32; 2] = [70_020_091, 70_020_092];
const PROGRAMS: [&str; 2] = ["wanted", "unwanted"];

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let cgroups = [Cgroup::new("trafcalc-wanted.service")?, Cgroup::new("trafcalc-unwanted.service")?];
    for &what in test.volume(&[By::UNIT, By::PROGRAM][..], &[By::PROGRAM]) {
        let options = Options::default().argument("--user=70020091").argument("--program=wanted");
        let options = options.argument("--unit=trafcalc-wanted.service").argument(&what.option());
        let counters = test.count_with(&world, &options)?;
        let mut programs = Vec::new();
        for uid in USERS {
            for name in PROGRAMS {
                for cgroup in &cgroups {
                    let port = 7_700 + u16::try_from(programs.len())?;
                    let serve = test.lasting_longer([receive(30_000), send(7_000, 900)]);
                    let ask = test.lasting_longer([send(30_000, 800), receive(7_000)]);
                    let server = Program::listen(uid, listen_at(test.family), serve);
                    let addr = address_of(test.family, 0, 2);
                    let client = Program::connect(uid, addr, ask);
                    let like = |program: Program| program.called(name).inside(cgroup).on_port(port);
                    programs.extend([(&world.far, like(server)), (&world.near, like(client))]);
                }
            }
        }
        let truth = run_actors(programs)?.split(is_wanted).0.by(what);
        ensure!(truth.0.len() == 1 && truth.total().sent == 37_000, "something else is wanted: {truth:?}");
        counters.stop()?.must_be_only(&truth)?;
    }
    Ok(())
}

fn is_wanted(account: &Account) -> bool {
    let Account { uid, program, unit, .. } = account;
    *uid == Some(USERS[0]) && program.as_deref() == Some("wanted") && unit.as_deref() == Some("trafcalc-wanted.service")
}
