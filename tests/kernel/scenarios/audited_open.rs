//! The packet backend compares open connections that move with the kernel's totals before each report, and finds no difference: on a
//! good line, on one that loses, doubles and swaps packets, and with most data segments lost by the capture.

use anyhow::{Context as _, Result, anyhow};

use super::counted::Counters;
use super::{Scenario, Test, go_on_and_finish, start_and_hold, tun};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Step, receive, receive_all, send};
use crate::world::{Line, Namespace, Quality, TUN, World};

pub(super) const SCENARIO: Scenario =
    Scenario::new("audited_open", run).over_both().targets(|target| target == Target::Packet).needs(tun::missing);

const BYTES: u64 = 4_000_000;

fn run(test: &Test) -> Result<()> {
    let troubled = Quality { lose: 211, double: 103, overtake: 37 };
    for (quality, drop_percent) in [(Quality::default(), 0), (troubled, 0), (Quality::default(), 90)] {
        let is_audited = audit(test, quality, drop_percent);
        is_audited.with_context(|| format!("{quality:?}, {drop_percent} % dropped by the capture"))?;
    }
    Ok(())
}

fn audit(test: &Test, quality: Quality, drop_percent: u8) -> Result<()> {
    let world = World { near: Namespace::new()?, far: Namespace::new()? };
    let _line = Line::between(&world.near, &world.far, quality)?;
    world.near.address(TUN, 0, 1)?;
    world.far.address(TUN, 0, 2)?;
    let options = Options { interval: "1d", ..Options::default() };
    let services = test.start(&world, &options.environment("TRAFCALC_TEST_DROP_PERCENT", &drop_percent))?;
    let server = [receive(BYTES), send(BYTES, CHUNK), Step::Hold, receive(BYTES), send(BYTES, 1_000), receive_all()];
    let client = [send(BYTES, 10_000), receive(BYTES), Step::Hold, send(BYTES, CHUNK), receive(BYTES)];
    let (server, client) = start_and_hold(&world, &test.server(server), &test.client(client))?;
    for service in &services {
        service.report_now()?;
    }
    // A segment may have waited in a queue for so long.
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    let truth = go_on_and_finish(&world, server, client)?;
    let counted = Counters::Own(services).stop()?;
    counted.must_equal(&truth)?;
    let audited = counted.health("audited_total")?;
    counted.explain(if audited == 2 { Ok(()) } else { Err(anyhow!("{audited} of 2 ends were audited")) })
}
