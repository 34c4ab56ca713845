//! Clients and servers of six users on both sides at once: every account has its own bytes and no other's.

use anyhow::Result;

use super::{Scenario, Test, run_all};
use crate::traffic::spec::{CHUNK, Program, receive, receive_all, send};
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("several_users", run).over_both();

const CONNECTIONS: u32 = 20;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let (near, far) = (&world.near, &world.far);
    let server = |uid, port| {
        let steps = test.lasting([receive(50_000), send(20_000, 5_000), receive_all()]);
        Program::listen(uid, listen_at(test.family), steps).times(CONNECTIONS, 4).on_port(port)
    };
    let client = |uid, host, port| {
        let steps = test.lasting([send(50_000, CHUNK), receive(20_000), send(u64::from(uid) - 70_020_000, 3)]);
        Program::connect(uid, address_of(test.family, 0, host), steps).times(CONNECTIONS, 4).on_port(port)
    };
    let truth = run_all([
        (far, server(70_020_011, 7001)),
        (far, server(70_020_012, 7002)),
        (near, server(70_020_013, 7003)),
        (near, client(70_020_014, 2, 7001)),
        (near, client(70_020_015, 2, 7002)),
        (far, client(70_020_016, 1, 7003)),
    ])?;
    counters.stop()?.must_equal(&truth)
}
