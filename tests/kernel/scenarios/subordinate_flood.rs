//! A user has 65,536 subordinate uids (subuid(5)), and moves bytes as more of them than there are accounts. They are all
//! his, so another user, who comes later, still has an account of his own and nothing in `(other)`.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{Counters, Scenario, Test, run_all};
use crate::service::Options;
use crate::target::{Family, Target};
use crate::traffic::spec::{CHUNK, Program, receive_all, send};
use crate::truth::{Account, Bytes, Table};
use crate::world::{World, address_of, listen_at};

/// ebpf only: a connection of one byte is over before packet can ask whose it is.
pub(super) const SCENARIO: Scenario =
    Scenario::new("subordinate_flood", run).needs(missing).targets(|target| target != Target::Packet);

const USER: u32 = 70_020_071;
const SINK: u32 = 70_020_072;
const PORT: u16 = 7071;

/// Where his range begins; nobody else has these.
const FIRST: u32 = 1_800_000_000;

/// How many accounts are looked at where each subordinate uid has its own.
const APART: u32 = 20;

fn missing(_: Family) -> Option<&'static str> {
    (!Path::new("/etc/subuid").exists()).then_some("there is no /etc/subuid to mount another file over")
}

fn run(test: &Test) -> Result<()> {
    belong_to_their_user(test)?;
    are_users_of_their_own(test)
}

fn options() -> Options {
    Options { subuid: Some(format!("{USER}:{FIRST}:65536\n")), ..Options::default() }
}

fn belong_to_their_user(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count_with(&world, &options())?;
    let mut truth = flood(test, &world, test.volume(17_000, 300))?;
    let (client, server) = (test.client([send(5_000_000, CHUNK)]), test.server([receive_all()]));
    truth.merge(run_all([(&world.far, server), (&world.near, client)])?);
    let sent = truth.0.remove(&Account::user(FIRST)).unwrap_or_default();
    truth.add(Account::user(USER), sent);
    let counted = counters.stop()?;
    counted.must_equal(&truth)?;
    let strays = counted.foreign.0.keys().filter(|account| account.uid.is_some_and(is_subordinate)).count();
    ensure!(strays == 0, "{strays} subordinate uids have accounts of their own");
    Ok(())
}

fn are_users_of_their_own(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count_with(&world, &options().config("subordinate = \"apart\""))?;
    flood(test, &world, APART)?;
    has_own_accounts(counters)
}

fn has_own_accounts(counters: Counters) -> Result<()> {
    let counted = counters.stop()?;
    let one = Bytes { sent: 1, received: 0 };
    let is_right = (FIRST..FIRST + APART).all(|uid| counted.foreign.user(uid) == one);
    let said = || {
        ensure!(is_right, "not every subordinate uid has its byte\n{}", counted.foreign.beside(&Table::default()));
        Ok(())
    };
    counted.explain(said())
}

fn is_subordinate(uid: u32) -> bool {
    (FIRST..FIRST + 65_536).contains(&uid)
}

/// As many connections as given, each of another subordinate uid, which sends one byte.
fn flood(test: &Test, world: &World, connections: u32) -> Result<Table> {
    let server = Program::listen(SINK, listen_at(test.family), [receive_all()]).on_port(PORT).times(connections, 2);
    let client = Program::connect(0, address_of(test.family, 0, 2), [send(1, 1)]).on_port(PORT).times(connections, 2);
    run_all([(&world.far, server), (&world.near, client.of_users_from(FIRST))])
}
