//! A filter for three users of six, by two spellings of the option: these have all their bytes, and no other user has any.

use anyhow::Result;

use super::{Scenario, Test, no_host_pids, run_actors};
use crate::service::Options;
use crate::traffic::spec::{Program, receive, send};
use crate::truth::{Account, By};
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("only_some_users", run).behind_the_hooks().needs(no_host_pids);

const WANTED: [u32; 3] = [70_020_081, 70_020_083, 70_020_084];

fn run(test: &Test) -> Result<()> {
    for what in [By::USER, By::PROCESS] {
        let world = World::new()?;
        let wanted = |options: Options, uid| options.argument("--user").argument(&format!("{uid}"));
        let options = WANTED.into_iter().fold(Options::default(), wanted);
        let counters = test.count_with(&world, &options.argument(&what.option()))?;
        let pair = |number: u16| {
            let (uid, port) = (70_020_080 + 2 * u32::from(number), 7_600 + number);
            let serve = test.lasting_longer([receive(30_000), send(20_000, 900)]);
            let ask = test.lasting_longer([send(30_000, 800), receive(20_000)]);
            let server = Program::listen(uid, listen_at(test.family), serve);
            let client = Program::connect(uid + 1, address_of(test.family, 0, 2), ask);
            let like = |program: Program| program.times(test.volume(10, 2), 2).on_port(port);
            [(&world.far, like(server)), (&world.near, like(client))]
        };
        let truth = run_actors((0..3).flat_map(pair))?.by(what);
        let is_wanted = |account: &Account| account.uid.is_some_and(|uid| WANTED.contains(&uid));
        counters.stop()?.must_be_only(&truth.split(is_wanted).0)?;
    }
    Ok(())
}
