//! Three users who each talk with three networks: of each user every class of networks has its own bytes, and where programs are told
//! apart, so has every program.

use anyhow::{Result, ensure};

use super::{BOTH_AND_MAPPED, Scenario, Test, run_actors};
use crate::service::Options;
use crate::traffic::spec::{Program, receive, send};
use crate::truth::{Account, By, Table};
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("by_class", run).families(BOTH_AND_MAPPED).behind_the_hooks();

const USERS: [u32; 3] = [70_020_121, 70_020_122, 70_020_123];
/// The classes of the networks 1, 2 and 3. The third has no network of its own name, and lies in a wider one of another class.
const CLASSES: [(u8, &str); 3] = [(1, "lan"), (2, "internet"), (3, "lab")];
const CONFIG: &str = "[[class]]\nname = 'lab'\nnetworks = ['10.77.3.0/30', 'fd77:3::/120']\n\
                      [[class]]\nname = 'lan'\nnetworks = ['10.77.1.0/24', '10.77.3.0/24', 'fd77:1::/64', 'fd77:3::/64']\n";

fn run(test: &Test) -> Result<()> {
    count(test, By::USER)?;
    count(test, By::PROGRAM)
}

fn count(test: &Test, by: By) -> Result<()> {
    let world = World::new()?;
    for (net, _) in CLASSES {
        world.near.address("veth0", net, 1)?;
        world.far.address("veth0", net, 2)?;
    }
    let options = Options::default().config(CONFIG).argument(&by.option());
    let counters = test.count_with(&world, &options)?;
    let mut truth = Table::default();
    for (net, class) in CLASSES {
        for (account, bytes) in run_actors(programs(test, &world, net))?.by(by).0 {
            truth.add(Account { class: Some(class.to_owned()), ..account }, bytes);
        }
    }
    let least = USERS.len() * CLASSES.len();
    ensure!(truth.0.len() >= least, "not as many accounts as meant: {truth:?}");
    counters.stop()?.must_equal(&truth)
}

/// A server and a client of each user in one network, with bytes of their own.
fn programs<'a>(test: &Test, world: &'a World, net: u8) -> Vec<(&'a crate::world::Namespace, Program)> {
    let mut programs = Vec::new();
    for (number, uid) in (1_u16..).zip(USERS) {
        let (there, back) = (20_000 + 100 * u64::from(number) + u64::from(net), 9_000 + u64::from(number));
        let serve = test.lasting_longer([receive(there), send(back, 1_000)]);
        let ask = test.lasting_longer([send(there, 3_000), receive(back)]);
        let server = Program::listen(uid, listen_at(test.family), serve);
        let client = Program::connect(uid, address_of(test.family, net, 2), ask);
        let like = |program: Program| program.times(test.volume(6, 2), 2).on_port(7_900 + number);
        programs.extend([(&world.far, like(server.called("serve"))), (&world.near, like(client.called("ask")))]);
    }
    programs
}
