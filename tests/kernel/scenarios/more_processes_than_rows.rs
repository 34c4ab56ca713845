//! More processes at once than there are accounts for: the bytes of those without one are their user's, who has all of
//! his bytes in the end, and health says how many they are.

use anyhow::{Result, ensure};

use super::{CLIENT, SERVER, Scenario, Test, no_host_pids, run_actors};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{Step, receive_all, send};
use crate::truth::{By, Bytes, Table};
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("more_processes_than_rows", run).targets(Target::is_ebpf).behind_the_hooks().needs(no_host_pids);

const ROWS: usize = 8;
const PROCESSES: u32 = 40;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let options = Options { interval: "1d", ..Options::default() }.argument("--by=process");
    let counters = test.count_with(&world, &options.config(&format!("[ebpf]\nmax_accounts = {ROWS}")))?;
    let child = Step::Fork { again: false, steps: vec![send(10_000, 1_000)] };
    let client = test.client([child]).times(PROCESSES, 1);
    let server = test.server([receive_all()]).times(PROCESSES, 1);
    let truth = run_actors([(&world.far, server), (&world.near, client)])?.by(By::PROCESS);
    let counted = counters.stop()?;
    let beside = || counted.table.beside(&truth);
    for uid in [CLIENT, SERVER] {
        let (count, true_bytes) = (of_user(&counted.table, uid), of_user(&truth, uid));
        ensure!(count == true_bytes, "{uid} has {count:?} in all, not {true_bytes:?}\n{}", beside());
    }
    for (account, bytes) in &counted.table.0 {
        let is_right = account.is_user() || truth.0.get(account) == Some(bytes);
        ensure!(is_right, "{account} has a part of its bytes only\n{}", beside());
    }
    ensure!(counted.table.0.len() <= ROWS + 2, "more accounts than rows\n{}", beside());
    ensure!(counted.table.user(CLIENT).sent > 0, "there was room for all, so nothing was shown\n{}", beside());
    ensure!(counted.health("coarse_bytes_total")? >= counted.table.user(CLIENT).sent, "health does not tell it");
    Ok(())
}

fn of_user(table: &Table, uid: u32) -> Bytes {
    table.clone().split(|account| account.uid == Some(uid)).0.total()
}
