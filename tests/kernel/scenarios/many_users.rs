//! More users than accounts: those for whom there is no row are in `(other)` together, and no byte is lost.

use anyhow::{Result, ensure};

use super::counted::Bystander;
use super::{Scenario, Test, run_all};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{Program, receive, send};
use crate::world::{World, address_of, listen_at};

/// ebpf only: there the accounts are a table of the kernel's, with a size.
pub(super) const SCENARIO: Scenario = Scenario::new("many_users", run).targets(Target::is_ebpf).behind_the_hooks();

const USERS: u16 = 20;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let bystander = Bystander::new(test.target)?;
    let counters = test.count_with(&world, &Options::default().config("[ebpf]\nmax_accounts = 8"))?;
    let pair = |number: u16| {
        let (uid, port) = (70_020_200 + 2 * u32::from(number), 7200 + number);
        let server = Program::listen(uid, listen_at(test.family), [receive(9_000), send(5_000, 700)]).on_port(port);
        let addr = address_of(test.family, 0, 2);
        let client = Program::connect(uid + 1, addr, [send(9_000, 100), receive(5_000)]).on_port(port);
        [(&world.far, server), (&world.near, client)]
    };
    let truth = run_all((0..USERS).flat_map(pair))?;
    let counted = counters.stop()?;
    let (table, beside) = (&counted.table, counted.table.beside(&truth));
    bystander.must_have_all(&counted, &truth)?;
    ensure!(table.named("(other)").sent > 0, "(other) was not used, so nothing was shown\n{beside}");
    for (account, &bytes) in &table.0 {
        let is_right = account.to_string() == "(other)" || truth.0.get(account) == Some(&bytes);
        ensure!(is_right, "{account} has a part of its bytes only\n{beside}");
    }
    Ok(())
}
