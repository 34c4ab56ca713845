//! A transparent proxy: netfilter leads connections to an outside address back to a port of this host. Both ends are
//! here, so it is loopback and left out by default; with `--loopback` it counts for both users.
//!
//! Short connections are among them whose first end takes in every segment while a system call holds its socket: by which
//! interface they came the kernel then never notes.
//!
//! The second half is ebpf's alone: the packets of such a connection have other addresses than its sockets, so packet
//! cannot ask whose they are.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Result, ensure};

use super::{Scenario, Test, masqueraded, run_all};
use crate::service::Options;
use crate::traffic::spec::{CHUNK, Program, Step, receive_all, send};
use crate::truth::Table;
use crate::world::{World, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("redirected_to_self", run).needs(masqueraded::missing);

const PROXY: u16 = 7050;
const PROXY_USER: u32 = 70_020_051;
const USER: u32 = 70_020_052;

/// Short connections.
const SHORT: u32 = 100;

/// Never reached: TEST-NET-3 of RFC 5737, behind the far end.
const OUTSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)), 80);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    world.near.ip("route add default via 10.77.0.2")?;
    world.near.run("nft", "add table ip trafcalc")?;
    world.near.run("nft", "add chain ip trafcalc out { type nat hook output priority -100 ; }")?;
    let rule = format!("add rule ip trafcalc out ip daddr {} tcp dport 80 redirect to :{PROXY}", OUTSIDE.ip());
    world.near.run("nft", &rule)?;
    let counters = test.count(&world)?;
    let truth = talk(test, &world)?;
    ensure!(truth.user(PROXY_USER).received > 0, "the proxy had nothing to do");
    // What does go outside is counted meanwhile.
    let (client, server) = (test.client([send(1_000_000, CHUNK)]), test.server([receive_all()]));
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth)?;

    if test.is_packet() {
        return Ok(());
    }
    let counters = test.count_with(&world, &Options::default().argument("--loopback"))?;
    let truth = talk(test, &world)?;
    counters.stop()?.must_equal(&truth)
}

fn talk(test: &Test, world: &World) -> Result<Table> {
    let bytes = test.volume(10_000_000, 1_000_000);
    let server = test.lasting([receive_all(), send(300_000, CHUNK)]);
    let client = test.lasting([send(bytes, CHUNK), Step::Shut, receive_all()]);
    let mut truth = connect(test, world, server, client, 1)?;
    truth.merge(connect(test, world, test.lasting([receive_all()]), test.lasting([send(1_000, CHUNK)]), SHORT)?);
    Ok(truth)
}

fn connect(test: &Test, world: &World, server: Vec<Step>, client: Vec<Step>, times: u32) -> Result<Table> {
    let server = Program::listen(PROXY_USER, listen_at(test.family), server).on_port(PROXY).times(times, 1);
    let client = Program::connect(USER, OUTSIDE, client).times(times, 1);
    run_all([(&world.near, server), (&world.near, client)])
}
