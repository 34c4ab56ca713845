//! Subordinate users count for the user who has their range in `/etc/subuid`, or apart, and are wanted with him.

use std::path::Path;

use anyhow::Result;

use super::{Counters, Scenario, Test, run_all};
use crate::service::{Options, SUBUID};
use crate::target::Family;
use crate::traffic::spec::{Program, receive, send};
use crate::truth::{Account, Table};
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("subordinate_users", run).behind_the_hooks().needs(no_file);

/// The range is given to the user while the service runs.
pub(super) const COME_LATER: Scenario =
    Scenario::new("subordinate_users_come_later", run_later).behind_the_hooks().needs(no_file);

const OWNER: u32 = 70_020_500;
const FIRST: u32 = 70_020_510;
const COUNT: u32 = 10;
/// Servers: the first and last ids of the range, one beyond it, and its owner.
const SERVERS: [u32; 4] = [FIRST, FIRST + COUNT - 1, FIRST + COUNT, OWNER];
const CLIENT: u32 = FIRST - 1;

/// The service is shown a file of ours in the place of the system's, which has to be there for that.
fn no_file(_: Family) -> Option<&'static str> {
    (!Path::new(SUBUID).exists()).then_some("this system has no /etc/subuid")
}

fn run(test: &Test) -> Result<()> {
    let options = Options::default().subuid(&range());
    count(test, &options, |truth| truth.with_users(owned))?;
    count(test, &options.clone().config("subordinate = 'apart'"), |truth| truth)?;
    let wanted = options.argument("--user").argument(&OWNER.to_string());
    count(test, &wanted, |truth| truth.with_users(owned).split(|account| *account == Account::user(OWNER)).0)
}

fn run_later(test: &Test) -> Result<()> {
    let world = World::new()?;
    let services = test.start(&world, &Options::default().subuid("# none yet"))?;
    let mut truth = traffic(test, &world)?;
    services.iter().try_for_each(|service| service.change_subuid(&range()))?;
    truth.merge(traffic(test, &world)?.with_users(owned));
    Counters::Own(services).stop()?.must_equal(&truth)
}

fn range() -> String {
    format!("{OWNER}:{FIRST}:{COUNT}")
}

fn owned(uid: u32) -> u32 {
    if (FIRST..FIRST + COUNT).contains(&uid) { OWNER } else { uid }
}

/// Checks that a service with these options counts what the truth says `expected`.
fn count(test: &Test, options: &Options, expected: impl Fn(Table) -> Table) -> Result<()> {
    let world = World::new()?;
    let counters = test.count_with(&world, options)?;
    let truth = traffic(test, &world)?;
    counters.stop()?.must_be_only(&expected(truth))
}

/// A connection to each server; gives what moved.
fn traffic(test: &Test, world: &World) -> Result<Table> {
    let pair = |(uid, port)| {
        let serve = test.lasting([receive(30_000), send(20_000 + u64::from(port), 900)]);
        let ask = test.lasting([send(30_000, 800), receive(20_000 + u64::from(port))]);
        let server = Program::listen(uid, listen_at(test.family), serve);
        let client = Program::connect(CLIENT, address_of(test.family, 0, 2), ask);
        [(&world.far, server.on_port(port)), (&world.near, client.on_port(port))]
    };
    run_all(SERVERS.into_iter().zip(7_700..).flat_map(pair))
}
