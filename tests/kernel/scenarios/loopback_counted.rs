//! With `--loopback`, a connection between two users of this host counts for both, once each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;

use super::{BOTH, Scenario, Test, run_all};
use crate::service::Options;
use crate::target::Family;
use crate::traffic::spec::{CHUNK, Program, Step, receive_all, send};
use crate::truth::Table;
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("loopback_counted", run).families(BOTH);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count_with(&world, &Options::default().argument("--loopback"))?;
    let truth = talk_to_oneself(test, &world)?;
    counters.stop()?.must_equal(&truth)
}

/// Traffic within the near namespace: over its loopback address, and over its own address on the veth.
pub(super) fn talk_to_oneself(test: &Test, world: &World) -> Result<Table> {
    let localhost: IpAddr = match test.family {
        Family::Ipv4 | Family::Mapped => Ipv4Addr::LOCALHOST.into(),
        Family::Ipv6 => Ipv6Addr::LOCALHOST.into(),
    };
    let own = address_of(test.family, 0, 1);
    let bytes = test.volume(100_000_000, 5_000_000);
    let server = |uid, port| {
        let steps = test.lasting([receive_all(), send(3_000_000, CHUNK)]);
        Program::listen(uid, listen_at(test.family), steps).on_port(port)
    };
    let client = |uid, ip, port| {
        let steps = test.lasting([send(bytes, CHUNK), Step::Shut, receive_all()]);
        Program::connect(uid, SocketAddr::new(ip, port), steps)
    };
    run_all([
        (&world.near, server(70_020_031, 7031)),
        (&world.near, server(70_020_032, 7032)),
        (&world.near, client(70_020_033, localhost, 7031)),
        (&world.near, client(70_020_034, own.ip(), 7032)),
    ])
}
