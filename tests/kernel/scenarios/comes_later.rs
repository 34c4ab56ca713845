//! A configured interface and a configured unit appear after the service has started: each is waited for, reported as missing,
//! and counted from its first byte on.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{Counters, Scenario, Test, no_cgroups, run_actors};
use crate::service::{Options, Service};
use crate::traffic::spec::{Program, receive, send};
use crate::truth::{Account, By};
use crate::world::{Cgroup, World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("comes_later", run).behind_the_hooks().needs(no_cgroups);

const UNIT: &str = "trafcalc-later.service";
const WANTED: u32 = 70_020_095;
const OTHER: u32 = 70_020_097;

fn run(test: &Test) -> Result<()> {
    let unit = format!("[only]\nunits = [\"{UNIT}\"]");
    come(test, &unit, &format!("unit {UNIT}"), |_| Ok(()))?;
    if test.is_packet() {
        come(test, "[packet]\ninterfaces = [\"veth1\"]", "interface veth1", |world| {
            world.near.join("veth1", &world.far, "veth1")?;
            world.near.address("veth1", 1, 1)?;
            world.far.address("veth1", 1, 2)
        })?;
    }
    Ok(())
}

/// Starts the service, waits until it tells that it waits, lets what it waits for come, and counts.
fn come(test: &Test, config: &str, waits_for: &str, come: fn(&World) -> Result<()>) -> Result<()> {
    let world = World::new()?;
    let service = Service::start(test.target, &world.near, &Options::default().config(config))?;
    let log = service.wait_for_log(|log| !log.reports.is_empty())?;
    ensure!(log.last()?.summary["waiting_for"] == json!([waits_for]), "{}", log.last()?.summary);
    let cgroup = Cgroup::new(UNIT)?;
    come(&world)?;
    service.signal(nix::sys::signal::Signal::SIGHUP)?;
    service.wait_for_log(|log| log.reports.last().is_some_and(|report| report.summary.get("waiting_for").is_none()))?;
    let is_unit = waits_for.starts_with("unit");
    let net = u8::from(!is_unit);
    let pair = |uid, port, is_wanted: bool| {
        let serve = test.lasting_longer([receive(30_000), send(7_000, 900)]);
        let ask = test.lasting_longer([send(30_000, 800), receive(7_000)]);
        let server = Program::listen(uid + 1, listen_at(test.family), serve).on_port(port);
        let address = address_of(test.family, if is_wanted { net } else { 0 }, 2);
        let client = Program::connect(uid, address, ask).on_port(port);
        let client = if is_unit && is_wanted { client.inside(&cgroup) } else { client };
        [(&world.far, server), (&world.near, client)]
    };
    let truth = run_actors(pair(WANTED, 7_801, true).into_iter().chain(pair(OTHER, 7_803, false)))?;
    let truth = truth.by(By::USER).split(|account| *account == Account::user(WANTED)).0;
    Counters::Own(vec![service]).stop()?.must_equal(&truth)
}
